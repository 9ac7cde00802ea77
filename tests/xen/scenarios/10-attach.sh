# Linux's blkfront on our backend: flush, persistent grants and indirect segments are enabled
make_image a.img 64
start_daemon --kind splitring
start_guest g
attach g xvda "raw:$lab/a.img"
contains "$(in_guest g 'dmesg | grep "blkfront: xvda"')" \
  'flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled'
directory=/local/domain/0/backend/splitring/$(domid g)/51712
contains "$(splitring list)" "xvda .*raw:$lab/a.img"
detach g xvda
same "$(xenstore-read "$directory/state" 2>/dev/null)" "" "its directory"
in_guest g '[ ! -e /sys/block/xvda ]' || fail "the guest keeps the disk"
