# Our frontend in a guest, on QEMU's qdisk: every promise of a disk; written here, read there
# seconds: 240
make_image a.img 4
guest_modules=xen-blkfront,xen-gntalloc,xen-evtchn,xen-gntdev start_guest g \
  "disk=['vdev=xvda,format=raw,access=rw,backendtype=qdisk,target=$lab/a.img']"
wait_device g xvda
claim g xvda
conformance g xvda
copied g xvda
give_back g xvda
