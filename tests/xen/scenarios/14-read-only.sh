# A read-only disk refuses writes and discards, and its image stays as it was
make_image a.img 16
dd if=/dev/urandom of="$lab/a.img" bs=1M count=4 conv=notrunc 2>/dev/null
before=$(sum "$lab/a.img")
start_daemon --kind splitring
start_guest g
attach g xvda "raw:$lab/a.img" --mode r
same "$(in_guest g 'blockdev --getro /dev/xvda')" 1 "the guest's view"
in_guest g 'dd if=/dev/zero of=/dev/xvda bs=4k count=1 oflag=direct' && fail "a write was taken"
in_guest g 'blkdiscard /dev/xvda' && fail "a discard was taken"
# A guest that does not believe it.
in_guest g 'blockdev --setrw /dev/xvda
  dd if=/dev/urandom of=/dev/xvda bs=4k count=8 oflag=direct' && fail "a write was taken"
same "$(in_guest g 'dd if=/dev/xvda bs=1M iflag=direct 2>/dev/null | sha256sum')" "$before" \
  "what is read"
same "$(sum "$lab/a.img")" "$before" "the image"
