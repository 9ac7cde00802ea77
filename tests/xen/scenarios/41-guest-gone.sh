# Guests destroyed or crashed with I/O in flight leave nothing, not even to the next of their number
# seconds: 240
make_image a.img 16
make_image b.img 16
make_image c.img 16
start_daemon
start_guest other
attach other xvda "raw:$lab/b.img"
start_load other xvda --size=16M $verified --rate_iops=50
descriptors=$(ls "/proc/$daemon/fd" | wc -l)
load='--size=16M --rw=randwrite --bsrange=4k-64k --iodepth=32'
nothing_is_left() {  # DOMID
  wait_gone "/local/domain/0/backend/splitring/$1"
  wait_gone "/local/domain/0/backend/vbd/$1"
  wait_gone "/local/domain/$1"
  same "$(splitring list --json | grep -c '"vdev"')" 1 "disks that are left"
  same "$(ls "/proc/$daemon/fd" | wc -l)" "$descriptors" "descriptors of the daemon"
}

start_guest g
attach g xvda "raw:$lab/a.img"
start_load g xvda $load
gone=$(domid g)
succeeds xl destroy g
nothing_is_left "$gone"

# A domain of the same number comes at once, and has another disk of the same name.
export LD_PRELOAD=/usr/bin/choose_domid.so LAB_DOMID=$gone LIBXL_DOMID_REUSE_TIMEOUT=0
start_guest g "disk=['vdev=xvda,format=raw,access=rw,script=block-splitring,target=raw:$lab/c.img']"
unset LD_PRELOAD LAB_DOMID
same "$(domid g)" "$gone" "the new guest's number"
wait_device g xvda
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | tr -d "\0" | wc -c')" 0 \
  "bytes of another's on the new guest's disk"
written=$(in_guest g 'head -c 1048576 /dev/urandom >/tmp/data
  dd if=/tmp/data of=/dev/xvda bs=64k oflag=direct 2>/dev/null && sha256sum </tmp/data')
same "$(sum "$lab/c.img" 1)" "$written" "the bytes on the new guest's disk"
start_load g xvda $load
in_guest_background g 'echo c >/proc/sysrq-trigger'
nothing_is_left "$gone"
load_moves other xvda
end_load other
