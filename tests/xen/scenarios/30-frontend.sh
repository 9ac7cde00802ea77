# Our frontend in a guest, on our backend: every promise of a disk, with 1 and 2 lanes
# seconds: 240
make_image a.img 4
start_daemon --kind splitring
guest_modules=xen-blkfront,xen-gntalloc,xen-evtchn,xen-gntdev guest_vcpus=2 start_guest g
attach g xvda "raw:$lab/a.img"
claim g xvda
conformance g xvda
conformance g xvda lanes=2
copied g xvda
