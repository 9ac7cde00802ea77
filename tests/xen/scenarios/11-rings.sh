# 1 and 2 queues, rings of 1 to 16 pages: each is used, and data comes back as it was written
# seconds: 240
make_image a.img 32
start_daemon --kind splitring
guest_modules='' guest_vcpus=2 start_guest g
frontend=/local/domain/$(domid g)/device/vbd/51712
enabled='flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled'
for shape in 1:0 2:1 1:2 2:3 1:4 2:4; do
  queues=${shape%:*} order=${shape#*:}
  succeeds in_guest g "modprobe xen-blkfront max_ring_page_order=$order max_queues=$queues"
  attach g xvda "raw:$lab/a.img"
  asked=$(xenstore-ls "$frontend")
  [ "$queues" = 1 ] || contains "$asked" 'multi-queue-num-queues = "2"'
  if [ "$order" = 0 ]; then
    contains "$asked" 'ring-ref = "[0-9]+"'
  else
    contains "$asked" "ring-page-order = \"$order\""
    contains "$asked" "ring-ref$(((1 << order) - 1)) = "
  fi
  said=$(in_guest g 'dmesg | grep "blkfront: xvda" | tail -n 1; head -c 4194304 /dev/urandom >/tmp/data
    dd if=/tmp/data of=/dev/xvda bs=64k oflag=direct 2>/dev/null && sha256sum </tmp/data')
  contains "$said" "$enabled"
  same "$(sum "$lab/a.img" 4)" "${said##*$'\n'}" "$queues queues, order $order: the bytes"
  detach g xvda
  succeeds in_guest g 'rmmod xen_blkfront'
done
