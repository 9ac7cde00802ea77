# An image that grows is a disk that grows, while it is written to
make_image a.img 16
start_daemon --kind splitring
start_guest g
attach g xvda "raw:$lab/a.img"
succeeds in_guest g 'fio --name=load --filename=/dev/xvda --size=16M --rw=randwrite --bs=4k \
  --direct=1 --ioengine=libaio --iodepth=8 --time_based --runtime=5 >/tmp/load 2>&1 &
  echo $! >/tmp/load.pid'
truncate -s 48M "$lab/a.img"
succeeds in_guest g 'for i in $(seq 150); do
  [ "$(blockdev --getsize64 /dev/xvda)" != 50331648 ] || exit 0; usleep 200000; done; exit 1'
written=$(in_guest g 'head -c 1048576 /dev/urandom >/tmp/end
  dd if=/tmp/end of=/dev/xvda bs=1M seek=47 oflag=direct 2>/dev/null && sha256sum </tmp/end')
same "$(dd if="$lab/a.img" bs=1M skip=47 2>/dev/null | sha256sum)" "$written" "the new end"
succeeds in_guest g 'for i in $(seq 150); do
  [ -e /proc/$(cat /tmp/load.pid) ] || break; usleep 200000; done; grep "err= 0" /tmp/load'
