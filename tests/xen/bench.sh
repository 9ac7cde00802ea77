# In domain 0: three disks of the same size in memory, one served by the kernel's xen-blkback over a
# loop device, one by QEMU's qdisk, one by splitringd, all given to one guest, where Linux's blkfront
# and fio work on each. Prints, for each row and disk,
#   result DISK WORK BLOCK DEPTH IOPS DOM0-NS GUEST-NS
# with the processor time of either domain for one request, taken in the midst of the run, and for
# Splitring's disk, with persistent grants, then again without them, then spinning before it sleeps,
#   rang DISK WORK BLOCK DEPTH WAKE-UPS NOTIFICATIONS
# of either side's doorbell, for one request.
for image in blkback qdisk splitring; do
  make_image "$image.img" 64
  dd if=/dev/zero of="$lab/$image.img" bs=1M count=64 conv=notrunc 2>/dev/null
done
ip link set lo up
log_level=info start_daemon --metrics 127.0.0.1:9100
start_guest g "disk=['vdev=xvda,format=raw,access=rw,target=$lab/blkback.img',
  'vdev=xvdb,format=raw,access=rw,backendtype=qdisk,target=$lab/qdisk.img']"
wait_device g xvda
wait_device g xvdb
attach g xvdc "raw:$lab/splitring.img"
in_guest g 'dmesg | grep "blkfront: xvd"'

# times: "NS-OF-THIS-MOMENT DOM0-NS GUEST-NS"
times() { domain_times | awk -v guest="$(domid g)" '
  $1 == "now" {now = $2} $1 == 0 {dom0 = $2} $1 == guest {of_guest = $2}
  END {printf "%.0f %.0f %.0f\n", now, dom0, of_guest}'; }
# rings: "REQUESTS WAKE-UPS NOTIFICATIONS" until now
rings() { wget -qO- http://127.0.0.1:9100/metrics | awk '
  /^splitring_requests_total/ {requests += $NF} /^splitring_wakeups_total/ {wakeups += $NF}
  /^splitring_notifications_total/ {notifications += $NF}
  END {printf "%.0f %.0f %.0f\n", requests, wakeups, notifications}'; }
measure() {  # NAME VDEV WORK BLOCK DEPTH
  local before after said rang answer=/local/domain/$(domid g)/data/lab
  rang=$(rings)
  in_guest_background g "fio --name=x --filename=/dev/$2 --rw=$3 --bs=$4 --iodepth=$5 \
    --ioengine=libaio --direct=1 --size=48M --time_based --runtime=1200ms \
    --randseed=1 --gtod_reduce=1 --output-format=terse --terse-version=3 2>&1 |
    awk -F';' '{print \"iops\", \$8 + \$49}'"
  sleep 0.5
  before=$(times)
  sleep 0.6
  after=$(times)
  wait_node "$answer/answer" "^$background_number "
  said=$(xenstore-read -R "$answer/output")
  awk -v name="$1 $3 $4 $5" -v iops="${said#iops }" -v was="$before" -v is="$after" 'BEGIN {
    split(was, a, " "); split(is, b, " "); requests = iops * (b[1] - a[1]) / 1e9
    printf "result %s %.0f %.0f %.0f\n", name, iops, (b[2] - a[2]) / requests,
      (b[3] - a[3]) / requests }'
  case $1 in splitring*) awk -v name="$1 $3 $4 $5" -v was="$rang" -v is="$(rings)" 'BEGIN {
    split(was, a, " "); split(is, b, " "); requests = b[1] - a[1]
    printf "rang %s %.3f %.3f\n", name, (b[2] - a[2]) / requests, (b[3] - a[3]) / requests }' ;;
  esac
}
for row in "randread 4k 1" "randread 4k 32" "randwrite 4k 1" "randwrite 4k 32" "read 1M 4" \
  "write 1M 4"; do
  for disk in blkback:xvda qdisk:xvdb splitring:xvdc; do
    measure "${disk%:*}" "${disk#*:}" $row
  done
done
again() {  # OPTION...
  detach g xvdc
  stop_daemon
  log_level=info start_daemon --metrics 127.0.0.1:9100 "$@"
  attach g xvdc "raw:$lab/splitring.img"
}
again --no-persistent
for row in "randread 4k 1" "randread 4k 32" "read 1M 4" "write 1M 4"; do
  measure splitring-copied xvdc $row
done
again --poll on
for row in "randread 4k 1" "randread 4k 32" "randwrite 4k 1"; do
  measure splitring-polling xvdc $row
done
