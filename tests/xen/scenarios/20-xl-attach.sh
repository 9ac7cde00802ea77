# Stock xl: block-attach, block-list and block-detach, beside a disk of xen-blkback's own
make_image a.img 32
make_image b.img 16
start_daemon
start_guest g
succeeds xl block-attach g "vdev=xvdb,format=raw,access=rw,target=$lab/b.img"
disk=vdev=xvda,format=raw,access=rw,script=block-splitring,target=raw:$lab/a.img
said=$(xl block-attach g "$disk" 2>&1) || fail "xl block-attach: $said"
wait_device g xvda
wait_device g xvdb
directory=/local/domain/0/backend/vbd/$(domid g)
same "$(xenstore-read "$directory/51712/hotplug-status")" connected "hotplug-status"
[ ! -e "/sys/bus/xen-backend/drivers/vbd/vbd-$(domid g)-51712" ] || fail "xen-blkback has it still"
[ -e "/sys/bus/xen-backend/drivers/vbd/vbd-$(domid g)-51728" ] || fail "xen-blkback has lost xvdb"
contains "$(xl block-list g)" '51712 .* 4 '
same "$(splitring list -v --json | grep -c '"serving"')" 1 "disks that we serve"
written=$(in_guest g 'head -c 2097152 /dev/urandom >/tmp/data; for d in xvda xvdb; do
  dd if=/tmp/data of=/dev/$d bs=64k oflag=direct 2>/dev/null; done; sha256sum </tmp/data')
same "$(sum "$lab/a.img" 2)" "$written" "the bytes on ours"
same "$(sum "$lab/b.img" 2)" "$written" "the bytes on blkback's"
before=$SECONDS
succeeds xl block-detach g xvda
[ $((SECONDS - before)) -lt $((patience * 8)) ] || fail "block-detach took $((SECONDS - before)) s"
succeeds in_guest g '[ ! -e /sys/block/xvda ]'
same "$(xenstore-read "$directory/51712/state" 2>/dev/null)" "" "what is left of xvda"
succeeds in_guest g 'dd if=/dev/xvdb of=/dev/null bs=64k iflag=direct'
