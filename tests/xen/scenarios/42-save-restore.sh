# xl save and restore under fio: the guest goes on, and every block verifies
# seconds: 300
make_image a.img 32
start_daemon
start_guest g \
  "disk=['vdev=xvda,format=raw,access=rw,script=block-splitring,target=raw:$lab/a.img']"
wait_device g xvda
start_load g xvda --size=24M $verified
first=$(domid g)
said=$(xl save g "$lab/g.save" 2>&1) || fail "xl save: $said"
wait_gone "/local/domain/0/backend/vbd/$first"
same "$(splitring list --json)" "[]" "disks of the saved guest"
said=$(xl restore "$lab/g.save" 2>&1) || fail "xl restore: $said"
rm -f "$lab/g.save"
guest_seconds=120
load_moves g xvda
end_load g
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
