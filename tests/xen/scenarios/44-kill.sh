# splitringd killed 20 times under fio: Linux's blkfront sees a pause, no error and no lost byte
# seconds: 400
make_image a.img 24
start_daemon
start_guest g
attach g xvda "raw:$lab/a.img"
succeeds in_guest g 'fio --name=load --filename=/dev/xvda --size=24M --rw=randwrite --bs=4k \
  --direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --loops=1000 \
  --time_based --runtime=1000 >/tmp/load 2>&1 & echo $! >/tmp/load.pid
  until awk "{exit !(\$5 > 100)}" /sys/block/xvda/stat; do usleep 50000; done'
directory=/local/domain/0/backend/splitring/$(domid g)/51712
connection=$(xenstore-read "$directory/splitring-journal")
for i in $(seq 20); do
  usleep $((RANDOM * 20))  # up to 0.6 s: a random moment
  kill -9 "$daemon"
  wait "$daemon" 2>/dev/null
  start_daemon
  same "$(xenstore-read "$directory/state")" 4 "the state after kill $i"
  [ $((i % 5)) = 0 ] || continue
  succeeds in_guest g 'was=$(awk "{print \$5}" /sys/block/xvda/stat)
    for i in $(seq 300); do
      [ "$(awk "{print \$5}" /sys/block/xvda/stat)" -lt $((was + 50)) ] || exit 0; usleep 100000
    done; dmesg | tail; exit 1'
done
same "$(xenstore-read "$directory/splitring-journal")" "$connection" "the connection"
succeeds in_guest g 'kill -INT $(cat /tmp/load.pid)
  for i in $(seq 600); do [ -e /proc/$(cat /tmp/load.pid) ] || break; usleep 100000; done
  cat /tmp/load; grep "err= 0" /tmp/load && ! grep -qi "verify:\|error" /tmp/load'
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
lacks "$(in_guest g dmesg)" 'I/O error|blkfront.*(error|mismatch)'
detach g xvda
same "$(ls /run/splitring/rings)" "" "journals that are left"
