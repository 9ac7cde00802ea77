# Stock xl: a guest created with our disk in its configuration is rebooted and destroyed, quickly
# seconds: 180
make_image a.img 32
start_daemon
start_guest g "on_reboot=\"restart\"" \
  "disk=['vdev=xvda,format=raw,access=rw,script=block-splitring,target=raw:$lab/a.img']"
first=$(domid g)
written=$(in_guest g 'head -c 1048576 /dev/urandom >/tmp/data
  dd if=/tmp/data of=/dev/xvda bs=64k oflag=direct 2>/dev/null && sha256sum </tmp/data')
in_guest_background g 'reboot -f'
wait_for_another g "$first"
guest_is_up g
wait_device g xvda
same "$(in_guest g 'dd if=/dev/xvda bs=1M count=1 iflag=direct 2>/dev/null | sha256sum')" "$written" \
  "what the rebooted guest reads"
before=$SECONDS
said=$(xl destroy g 2>&1)
[ $((SECONDS - before)) -lt $((patience * 8)) ] || fail "destroy took $((SECONDS - before)) s"
lacks "$said" 'unable|error|fail'
same "$(splitring list --json)" "[]" "disks that are left"
