# splitringd as a user of its own, without a capability, with what the udev rule grants: serves xl
make_image a.img 8
user=990  # splitring, where there is systemd-sysusers
own() { chown ":$user" "$2" && chmod "$1" "$2"; }
own 660 "$lab/a.img"
while IFS=\" read -r _ _ _ device _ group _ mode _; do
  same "$group" splitring "the group of $device"
  [ ! -e "/dev/$device" ] || own "$mode" "/dev/$device"
done < <(grep '^SUBSYSTEM' /lib/udev/rules.d/90-splitring.rules)
rm -rf /run/splitring && mkdir -m 750 /run/splitring && chown "$user:$user" /run/splitring
daemon_wrapper="setpriv --reuid=$user --regid=$user --clear-groups --bounding-set=-all
  --inh-caps=-all --no-new-privs" start_daemon --allow-root "$lab"
same "$(grep -E '^(Uid|CapEff)' "/proc/$daemon/status" | awk '{print $2}' | xargs)" \
  "$user 0000000000000000" "the daemon's user and capabilities"
[ -z "$(ls -l "/proc/$daemon/fd" | grep privcmd)" ] || fail "it has opened privcmd"
start_guest g \
  "disk=['vdev=xvda,format=raw,access=rw,script=block-splitring,target=raw:$lab/a.img']"
wait_device g xvda
written=$(in_guest g 'head -c 1048576 /dev/urandom >/tmp/data
  dd if=/tmp/data of=/dev/xvda bs=64k oflag=direct 2>/dev/null && sha256sum </tmp/data')
same "$(sum "$lab/a.img" 1)" "$written" "the bytes"
succeeds xl destroy g
rm -rf /run/splitring
