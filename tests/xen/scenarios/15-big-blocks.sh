# Blocks of 4096 bytes: the guest's sizes are right, and so is every byte
make_image a.img 32
start_daemon --kind splitring
start_guest g
attach g xvda "raw:$lab/a.img?block=4096"
same "$(in_guest g 'blockdev --getss --getpbsz --getsize64 /dev/xvda | xargs')" \
  "4096 4096 33554432" "sizes"
in_guest g 'dd if=/dev/zero of=/dev/xvda bs=512 count=1 oflag=direct' && fail "512 bytes were taken"
succeeds in_guest g 'fio --name=verify --filename=/dev/xvda --size=32M --rw=randwrite \
  --bsrange=4k-64k --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 \
  --randseed=3'
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
