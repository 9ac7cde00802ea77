# 50 disks come and go, each with a write in flight, beside one under load: nothing of them is left
# seconds: 600
make_image xvda.img 4
start_daemon --kind splitring
start_guest g
guest=$(domid g)
frontends=/local/domain/$guest/device/vbd
disks=$(echo xvd{b..k})
states=$(printf "$frontends/%s/state " $(seq 51728 16 51872))

comes() {
  truncate -s 64k "$lab/$1.img"
  splitring attach --domain "$guest" --vdev "$1" --kind splitring --target "raw:$lab/$1.img" \
    --wait $((patience * 20)) >/dev/null
}
goes() { splitring detach --domain "$guest" --vdev "$1" --timeout $((patience * 30)) >/dev/null; }
all_have_closed() { [ "$(xenstore-read $states | tr -d '\n')" = 6666666666 ]; }
# each COMMAND: for every disk at a time, in the background; then all_done.
each() {
  local disk
  jobs=()
  for disk in $disks; do
    "$1" "$disk" &
    jobs+=($!)
  done
}
all_done() {
  local job
  for job in "${jobs[@]}"; do succeeds wait "$job"; done
}
# The daemon stands still from before the guest writes until every frontend has closed: what it then
# finds in the rings has to be done.
round() {
  each comes
  all_done
  # The watch fires once the guest's kernel is through with all that it was told before: until then
  # it looks for partitions.
  succeeds in_guest g "for disk in $disks; do
    until { : </dev/\$disk; } 2>/dev/null; do usleep 50000; done; done
    xenstore-watch -n 1 domid >/dev/null; rm -f /tmp/written.*; head -c 65536 /dev/urandom >/tmp/data"
  kill -STOP "$daemon"
  succeeds in_guest g "for disk in $disks; do
      dd if=/tmp/data of=/dev/\$disk bs=64k oflag=direct conv=nocreat && : >/tmp/written.\$disk &
      until grep -q ' [1-9]' /sys/block/\$disk/inflight; do usleep 50000; done
    done >/dev/null 2>&1"
  each goes
  until_so 30 "$frontends" all_have_closed || fail "not all have closed: $(xenstore-ls "$frontends")"
  kill -CONT "$daemon"
  all_done
  # A guest that hears this knows that the disks have gone, and takes the next for others.
  written=$(in_guest g "for i in \$(seq $((patience * 100))); do
      [ \"\$(echo /tmp/written.*)\" != '$(echo /tmp/written.xvd{b..k})' ] || break; usleep 100000
    done
    echo /tmp/written.* | wc -w; for disk in $disks; do cat /tmp/data; done | sha256sum")
  same "10"$'\n'"$(cd "$lab" && cat xvd[b-k].img | sha256sum)" "$written" "the last writes"
}
storm() {  # ROUNDS
  attach g xvda "raw:$lab/xvda.img"
  start_load g xvda --size=4M $verified --rate_iops=20
  for _ in $(seq "$1"); do round; done
  load_moves g xvda
  end_load g >/dev/null
  detach g xvda
}
held() {
  xl dmesg -c >/dev/null
  xl debug-keys g  # the hypervisor lists every grant that is mapped
  echo "grants $(xl dmesg | grep -c '\[0x')"
  echo "ports $(lsevtchn 0 | wc -l) and $(lsevtchn "$guest" | wc -l)"
  echo "descriptors $(ls "/proc/$daemon/fd" | wc -l)"
  echo "maps $(grep -c xen "/proc/$daemon/maps")"
  echo "threads $(ls "/proc/$daemon/task" | wc -l)"
  echo "nodes $(xenstore-ls -f / | grep -c splitring)"
  echo "journals $(ls /run/splitring/rings | wc -l)"
}
storm 1  # whatever the first ones leave for good is there then
before=$(held)
in_guest g true >/dev/null
storm 5
same "$(held)" "$before" "what is held after 50 disks"
lacks "$(in_guest g dmesg)" 'I/O error|[Bb]ad grant|deferring|leak'
