# splitringd restarted 5 times under fio: Linux's blkfront sees a pause, no error and no lost byte
# seconds: 300
make_image a.img 24
start_daemon
start_guest g
attach g xvda "raw:$lab/a.img"
succeeds in_guest g 'fio --name=load --filename=/dev/xvda --size=24M --rw=randwrite --bs=4k \
  --direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --loops=1000 \
  --time_based --runtime=1000 >/tmp/load 2>&1 & echo $! >/tmp/load.pid
  until awk "{exit !(\$5 > 100)}" /sys/block/xvda/stat; do usleep 50000; done'
state=/local/domain/0/backend/splitring/$(domid g)/51712/state
for i in 1 2 3 4 5; do
  stop_daemon
  same "$(xenstore-read "$state")" 4 "the state without a daemon"
  start_daemon
  succeeds in_guest g 'was=$(awk "{print \$5}" /sys/block/xvda/stat)
    for i in $(seq 300); do
      [ "$(awk "{print \$5}" /sys/block/xvda/stat)" -lt $((was + 50)) ] || exit 0; usleep 100000
    done; dmesg | tail; exit 1'
  same "$(xenstore-read "$state")" 4 "the state with the next"
done
succeeds in_guest g 'kill -INT $(cat /tmp/load.pid)
  for i in $(seq 600); do [ -e /proc/$(cat /tmp/load.pid) ] || break; usleep 100000; done
  cat /tmp/load; grep "err= 0" /tmp/load && ! grep -qi "verify:\|error" /tmp/load'
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
lacks "$(in_guest g dmesg)" 'I/O error|blkfront.*(error|mismatch)'
