# mkfs.ext4 and mkfs.vfat in the guest, a tree copied, unmounted: domain 0 finds the same bytes
# seconds: 180
make_image a.img 96
make_image b.img 64
start_daemon --kind splitring
start_guest g
attach g xvda "raw:$lab/a.img"
attach g xvdb "raw:$lab/b.img"
guest_seconds=120
sums=$(in_guest g 'set -e
mkdir -p /tmp/tree /mnt/ext4 /mnt/vfat; cp -r /usr/bin/. /tmp/tree
head -c 5000001 /dev/urandom >/tmp/tree/random
mkfs.ext4 -q /dev/xvda; mkfs.vfat /dev/xvdb >/dev/null 2>&1
mount -t ext4 /dev/xvda /mnt/ext4; mount -t vfat /dev/xvdb /mnt/vfat
cp -r /tmp/tree /mnt/ext4/; cp -rL /tmp/tree /mnt/vfat/
fstrim /mnt/ext4
umount /mnt/ext4 /mnt/vfat
cd /tmp/tree; find . -type f | sort | xargs sha256sum | sha256sum') || fail "in the guest: $sums"
detach g xvda
detach g xvdb
e2fsck -fn "$lab/a.img" >/dev/null 2>&1 || fail "e2fsck finds errors"
fsck.fat -n "$lab/b.img" >/dev/null || fail "fsck.fat finds errors"
for pair in ext4:a vfat:b; do
  mkdir -p "/mnt/${pair%:*}"
  succeeds mount -t "${pair%:*}" -o loop,ro "$lab/${pair#*:}.img" "/mnt/${pair%:*}"
  found=$(cd "/mnt/${pair%:*}/tree" && find . -type f | sort | xargs sha256sum | sha256sum)
  umount "/mnt/${pair%:*}"
  same "$found" "$sums" "the tree on ${pair%:*}"
done
