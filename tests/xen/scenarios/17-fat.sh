# FAT and exFAT volumes: Linux in a guest reads what splitring fat wrote, and the other way round
# seconds: 240
mkdir -p "$lab/tree/A long name, with blanks" "$lab/tree/später"
cp /etc/xen/scripts/* "$lab/tree/A long name, with blanks/"
dd if=/dev/urandom of="$lab/tree/später/random" bs=1k count=777 2>/dev/null
: >"$lab/tree/empty"
sums() { find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; }
wanted=$(cd "$lab/tree" && sums)
start_daemon --kind splitring
start_guest g
# Two volumes of ours, and two disks for those of Linux.
make_image xvda.img 40
make_image xvdb.img 40
make_image xvdc.img 40
make_image xvdd.img 40
succeeds splitring fat create "raw:$lab/xvda.img" >/dev/null
succeeds splitring fat create "raw:$lab/xvdb.img" --type exfat >/dev/null
for disk in xvda xvdb; do
  succeeds splitring fat add "raw:$lab/$disk.img" -C "$lab" tree >/dev/null
done
for disk in xvda xvdb xvdc xvdd; do attach_only g $disk "raw:$lab/$disk.img"; done
for disk in xvda xvdb xvdc xvdd; do wait_device g $disk; done
said=$(guest_seconds=120 in_guest g "$(declare -f sums); set -e
  mkfs.vfat -F 32 /dev/xvdc >/dev/null 2>&1; mkfs.exfat /dev/xvdd >/dev/null
  for pair in xvda:vfat xvdb:exfat xvdc:vfat xvdd:exfat; do
    [ \${pair#*:} = exfat ] && options=iocharset=utf8 || options=utf8
    mkdir -p /mnt/\${pair%:*}
    mount -t \${pair#*:} -o \$options /dev/\${pair%:*} /mnt/\${pair%:*}
  done
  for disk in xvda xvdb; do
    cd /mnt/\$disk/tree; echo \$disk \$(sums)
    mv /mnt/\$disk/tree/empty /mnt/\$disk/moved; rm /mnt/\$disk/tree/*/block
  done
  for disk in xvda xvdb xvdc xvdd; do
    cp -r /mnt/xvda/tree /mnt/\$disk/copy
  done
  cd /; umount /mnt/*") || fail "in the guest: $said"
contains "$said" "xvda ${wanted%% *}"
contains "$said" "xvdb ${wanted%% *}"
rm "$lab/tree/empty" "$lab/tree"/*/block
wanted=$(cd "$lab/tree" && sums)
for disk in xvda xvdb xvdc xvdd; do
  detach g $disk
  said=$(splitring fat check "raw:$lab/$disk.img") || fail "$disk: $said"
  mkdir "$lab/$disk"
  succeeds splitring fat get "raw:$lab/$disk.img" copy "$lab/$disk" >/dev/null
  same "$(cd "$lab/$disk/copy" && sums)" "$wanted" "what Linux wrote to $disk"
done
for disk in xvda xvdb; do
  same "$(splitring fat cat "raw:$lab/$disk.img" moved | wc -c)" 0 "what was moved"
  fails 'tree/empty' splitring fat cat "raw:$lab/$disk.img" tree/empty
done
