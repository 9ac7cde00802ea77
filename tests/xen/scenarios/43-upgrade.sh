# splitringd upgraded 5 times under fio: Linux's blkfront sees a pause, no error and no lost byte
# seconds: 300
make_image a.img 24
start_daemon
start_guest g
attach g xvda "raw:$lab/a.img"
start_load g xvda --size=24M $verified
state=/local/domain/0/backend/splitring/$(domid g)/51712/state
program=/usr/bin/splitringd
for i in 1 2 3 4 5; do
  # As a package does: the next one's file comes first, then the service is restarted.
  cp $program $program.new && mv $program.new $program
  same "$(readlink "/proc/$daemon/exe")" "$program (deleted)" "what runs before"
  stop_daemon
  same "$(xenstore-read "$state")" 4 "the state without a daemon"
  start_daemon
  same "$(readlink "/proc/$daemon/exe")" "$program" "what runs then"
  load_moves g xvda
  same "$(xenstore-read "$state")" 4 "the state with the next"
done
end_load g
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/a.img")" "the image"
lacks "$(in_guest g dmesg)" 'I/O error|blkfront.*(error|mismatch)'
