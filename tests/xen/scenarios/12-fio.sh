# fio: random sizes at depth 32 with flushes and trims, every block verified, on 2 queues
# seconds: 240
make_image a.img 64
start_daemon --kind splitring
guest_vcpus=2 start_guest g
attach g xvda "raw:$lab/a.img"
guest_seconds=200
succeeds in_guest g 'fio --name=verify --filename=/dev/xvda --size=48M --rw=randwrite \
  --bsrange=4k-256k --ioengine=libaio --iodepth=32 --direct=1 --fsync=32 --verify=crc32c \
  --verify_fatal=1 --randseed=7'
succeeds in_guest g 'fio --name=trim --filename=/dev/xvda --offset=48M --size=16M \
  --rw=randtrimwrite --bs=64k --ioengine=libaio --iodepth=32 --direct=1 --io_size=32M'
succeeds in_guest g 'blkdiscard -o 50331648 -l 4194304 /dev/xvda && blockdev --flushbufs /dev/xvda'
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
same "$(dd if="$lab/a.img" bs=1M skip=48 count=4 2>/dev/null | tr -d '\0' | wc -c)" 0 "trimmed"
