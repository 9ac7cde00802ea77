# splitring doctor and the programs themselves name what is missing, and how to mend it
make_image a.img 4
fails 'splitringd does not answer.*' splitring doctor
start_daemon --kind splitring
said=$(splitring doctor) || fail "$said"
contains "$said" 'ok +Xen, domain 0'
contains "$said" 'ok +/etc/xen/scripts/block-splitring'
contains "$said" 'ok +xen-blkback is loaded'
guest_modules=xen-blkfront start_guest g
said=$(in_guest g 'splitring doctor') && fail "a guest without gntalloc: $said"
contains "$said" 'mend: modprobe xen-gntalloc'
contains "$said" 'mend: modprobe xen-evtchn'
attach g xvda "raw:$lab/a.img"
claim g xvda
said=$(in_guest g 'splitring info vbd:xvda') && fail "a disk without gntalloc: $said"
contains "$said" 'modprobe xen-gntalloc'
succeeds in_guest g 'modprobe xen-gntalloc && modprobe xen-evtchn'
said=$(in_guest g 'splitring doctor') || fail "$said"
contains "$said" 'ok +Xen, domain [1-9]'
succeeds in_guest g 'splitring info vbd:xvda'
said=$(in_guest g 'timeout 20 splitringd') && fail "a daemon without gntdev: $said"
contains "$said" 'modprobe xen-gntdev'
