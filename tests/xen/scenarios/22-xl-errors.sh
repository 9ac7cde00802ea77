# Stock xl: what is wrong is said in hotplug-error and on xl's screen, and harms no other disk
# seconds: 240
make_image a.img 16
make_image b.img 16
start_daemon --allow-root "$lab"
start_guest g
disk=format=raw,access=rw,script=block-splitring
refused() {  # PATTERN TARGET
  local said
  said=$(xl block-attach g "$disk,vdev=xvdb,target=$2" 2>&1) &&
    fail "$2 was attached"
  echo "$said"
  contains "$said" "$1"
  contains "$(xenstore-read "/local/domain/0/backend/vbd/$(domid g)/51728/hotplug-error")" "$1"
  succeeds xl block-detach g xvdb  # libxl keeps what it could not add
  wait_gone "/local/domain/0/backend/vbd/$(domid g)/51728"
}
succeeds xl block-attach g "$disk,vdev=xvda,target=raw:$lab/a.img"
wait_device g xvda
refused 'No such file' "raw:$lab/missing.img"
refused 'allow-root' 'raw:/init'
refused 'raw:PATH' 'nonsense'
refused 'one writer is allowed' "raw:$lab/a.img"
succeeds in_guest g 'dd if=/dev/xvda of=/dev/null bs=64k iflag=direct'
stop_daemon
refused 'is it running\?' "raw:$lab/b.img"
start_daemon --allow-root "$lab"
succeeds in_guest g 'dd if=/dev/xvda of=/dev/null bs=64k iflag=direct'
