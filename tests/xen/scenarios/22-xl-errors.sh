# Stock xl: what is wrong is said in hotplug-error and on xl's screen, and harms no other disk
# seconds: 240
make_image a.img 16
make_image b.img 16
start_daemon --allow-root "$lab"
start_guest g
# Another one, which runs nothing.
printf 'name="other"\nkernel="%s/vmlinux"\nmemory=128\n' "$lab" >"$lab/other.cfg"
succeeds xl create -p "$lab/other.cfg" >/dev/null 2>&1
disk=format=raw,access=rw,script=block-splitring
refused() {  # PATTERN TARGET [GUEST]
  local said guest=${3:-g}
  local directory=/local/domain/0/backend/vbd/$(domid "$guest")/51728
  said=$(xl block-attach "$guest" "$disk,vdev=xvdb,target=$2" 2>&1) &&
    fail "$2 was attached"
  echo "$said"
  contains "$said" "$1"
  contains "$(xenstore-read "$directory/hotplug-error")" "$1"
  succeeds xl block-detach "$guest" xvdb  # libxl keeps what it could not add
  wait_gone "$directory"
}
# Nodes that a toolstack of another kind wrote: what they lack is said in the backend's directory.
refused_nodes() {  # PATTERN NODE=VALUE...
  local backend=/local/domain/0/backend/splitring/$(domid g)/51744 pattern=$1
  local frontend=/local/domain/$(domid g)/device/vbd/51744
  shift
  for node in "$@"; do xenstore-write "$backend/${node%%=*}" "${node#*=}"; done
  xenstore-write "$frontend/backend" "$backend" "$frontend/state" 1 \
    "$backend/online" 1 "$backend/state" 1 "$backend/frontend" "$frontend"
  wait_node "$backend/error" "$pattern"
  succeeds xenstore-rm "$frontend" "$backend"
}
succeeds xl block-attach g "$disk,vdev=xvda,target=raw:$lab/a.img"
wait_device g xvda
refused 'No such file' "raw:$lab/missing.img"
refused 'allow-root' 'raw:/init'
refused 'raw:PATH' 'nonsense'
refused 'one writer is allowed' "raw:$lab/a.img"
refused 'one writer is allowed' "raw:$lab/a.img" other
refused_nodes 'raw:PATH' mode=w
refused_nodes 'raw:PATH' mode=w params=nonsense
refused_nodes 'No such file' mode= params="raw:$lab/missing.img"
succeeds in_guest g 'dd if=/dev/xvda of=/dev/null bs=64k iflag=direct'
stop_daemon
refused 'is it running\?' "raw:$lab/b.img"
start_daemon --allow-root "$lab"
succeeds in_guest g 'dd if=/dev/xvda of=/dev/null bs=64k iflag=direct'
