# A guest that breaks every rule of ring, grants and store harms no other guest's disk
# seconds: 400
make_image a.img 8
make_image b.img 16
start_daemon --kind splitring
start_guest other
attach other xvda "raw:$lab/b.img"
start_load other xvda --size=16M $verified --rate_iops=100
guest_modules=xen-blkfront,xen-gntalloc,xen-evtchn,xen-gntdev guest_vcpus=2 start_guest g
descriptors=$(ls "/proc/$daemon/fd" | wc -l)
attach g xvda "raw:$lab/a.img"
claim g xvda
# Copying grants makes a difference where pages are named.
rows='*/persistent:*B21*/copied:*B24*/copied:*B26*/copied'
said=$(guest_seconds=240 in_guest g "timeout $((patience * 220)) hostile_guest xvda \
  --gtest_filter=$rows 2>&1 | tee /dev/console | tail -n 30")
contains "$said" 'PASSED.* 2[0-9] tests'
gone=/local/domain/0/backend/splitring/$(domid g)
succeeds xl destroy g
wait_gone "$gone"
same "$(ls "/proc/$daemon/fd" | wc -l)" "$descriptors" "descriptors of the daemon"
load_moves other xvda
end_load other
same "$(in_guest other 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" \
  "$(sum "$lab/b.img")" "the other guest's image"
