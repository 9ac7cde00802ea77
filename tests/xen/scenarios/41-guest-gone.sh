# Guests that crash or are destroyed with I/O in flight: nothing of them stays, nor comes to the next of that number
# seconds: 300
make_image a.img 16
make_image b.img 16
start_daemon
start_guest other
attach other xvda "raw:$lab/b.img"
start_load other xvda --size=16M --rw=randwrite --bs=4k --iodepth=4
descriptors=$(ls "/proc/$daemon/fd" | wc -l)
for end in destroy crash; do
  for way in ours xl; do
    if [ "$way" = ours ]; then
      start_guest g
      attach g xvda "raw:$lab/a.img"
    else
      start_guest g \
        "disk=['vdev=xvda,format=raw,access=rw,script=block-splitring,target=raw:$lab/a.img']"
      wait_device g xvda
    fi
    gone=$(domid g)
    start_load g xvda --size=16M --rw=randwrite --bsrange=4k-64k --iodepth=32
    if [ "$end" = destroy ]; then
      succeeds xl destroy g
    else
      in_guest_background g 'echo c >/proc/sysrq-trigger'
    fi
    wait_gone "/local/domain/0/backend/splitring/$gone"
    wait_gone "/local/domain/0/backend/vbd/$gone"
    wait_gone "/local/domain/$gone"
    same "$(splitring list --json | grep -c '"vdev"')" 1 "disks left after $way $end"
  done
done
same "$(ls "/proc/$daemon/fd" | wc -l)" "$descriptors" "descriptors of the daemon"

# A domain of the same number comes at once, and has the disk of the other one's name.
make_image c.img 16
export LD_PRELOAD=/usr/bin/choose_domid.so LAB_DOMID=$gone LIBXL_DOMID_REUSE_TIMEOUT=0
start_guest g
unset LD_PRELOAD LAB_DOMID
same "$(domid g)" "$gone" "the new guest's number"
lacks "$(in_guest g 'ls /sys/bus/xen/devices')" vbd
attach g xvda "raw:$lab/c.img"
written=$(in_guest g 'head -c 1048576 /dev/urandom >/tmp/data
  dd if=/tmp/data of=/dev/xvda bs=64k oflag=direct 2>/dev/null && sha256sum </tmp/data')
same "$(sum "$lab/c.img" 1)" "$written" "the bytes on the new guest's disk"
load_moves other xvda
end_load other
