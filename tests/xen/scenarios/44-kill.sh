# splitringd killed 20 times under fio: Linux's blkfront sees a pause, no error and no lost byte
# seconds: 400
make_image a.img 24
start_daemon
start_guest g
attach g xvda "raw:$lab/a.img"
start_load g xvda --size=24M $verified
directory=/local/domain/0/backend/splitring/$(domid g)/51712
connection=$(xenstore-read "$directory/splitring-journal")
for i in $(seq 20); do
  usleep $((RANDOM * 20))  # up to 0.6 s: a random moment
  kill -9 "$daemon"
  wait "$daemon" 2>/dev/null
  start_daemon
  same "$(xenstore-read "$directory/state")" 4 "the state after kill $i"
  [ $((i % 5)) != 0 ] || load_moves g xvda
done
same "$(xenstore-read "$directory/splitring-journal")" "$connection" "the connection"
end_load g
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
lacks "$(in_guest g dmesg)" 'I/O error|blkfront.*(error|mismatch)'
detach g xvda
same "$(ls /run/splitring/rings)" "" "journals that are left"
