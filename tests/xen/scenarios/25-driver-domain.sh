# A storage driver domain: splitringd in an unprivileged guest serves another one from its own disk
# seconds: 240
make_image a.img 16
# The driver domain is made of domain 0's files; only its first process is a guest's.
mkdir "$lab/driver" && cp /share/guest-init "$lab/driver/init"
(cd / && find . -xdev | cpio -o -H newc --quiet) >"$lab/driver.img"
(cd "$lab/driver" && echo init | cpio -o -H newc --quiet) >>"$lab/driver.img"
guest_ramdisk=$lab/driver.img guest_memory=640 \
  guest_modules=xen-blkfront,xen-gntdev,xen-evtchn,xen-privcmd,xenfs start_guest stor \
  driver_domain=1 "disk=['vdev=xvda,format=raw,access=rw,target=$lab/a.img']"
rm -r "$lab/driver" "$lab/driver.img"
wait_device stor xvda
succeeds in_guest stor 'PATH+=:/usr/lib/xen-4.17/bin; mount -t xenfs xenfs /proc/xen; mkdir -p /run/lock /var/log/xen
  mkfifo /tmp/said; splitringd >/tmp/said 2>/tmp/daemon.log & exec 3</tmp/said
  read -r line <&3 && [ "$line" = "splitringd: ready" ] && xl devd || { cat /tmp/daemon.log; exit 1; }'
disk="vdev=xvda,format=raw,access=rw,backend=stor,script=block-splitring,target=raw:/dev/xvda"
start_guest g "disk=['$disk']"
wait_device g xvda
directory=/local/domain/$(domid stor)/backend/vbd/$(domid g)/51712
same "$(xenstore-read "$directory/state")" 4 "the state of the disk"
contains "$(in_guest stor 'splitring list')" 'xvda .*raw:/dev/xvda'
written=$(in_guest g 'head -c 2097152 /dev/urandom >/tmp/data
  dd if=/tmp/data of=/dev/xvda bs=64k oflag=direct 2>/dev/null && sync && sha256sum </tmp/data')
same "$(sum "$lab/a.img" 2)" "$written" "what the driver domain's disk holds"
succeeds xl destroy g
wait_gone "$directory"
same "$(in_guest stor 'splitring list --json')" "[]" "disks that are left"
