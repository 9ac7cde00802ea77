# The kiosk in a guest serves every file of the tar archive that is its disk
# seconds: 180
mkdir -p "$lab/site/deep"
cp /etc/xen/scripts/* "$lab/site/"
dd if=/dev/urandom of="$lab/site/deep/random" bs=1k count=777 2>/dev/null
make_image a.img 4
succeeds splitring tar create "raw:$lab/a.img" -C "$lab/site" .
files=$(cd "$lab/site" && find * -type f | sort | xargs)
sums=$(cd "$lab/site" && sha256sum $files | sha256sum)
rm -r "$lab/site"
start_daemon --kind splitring
guest_modules=xen-blkfront,xen-gntalloc,xen-evtchn,xen-gntdev start_guest g
attach g xvda "raw:$lab/a.img" --mode r
claim g xvda
# It says that it serves, or ends, and then there is nothing to fetch.
same "$(in_guest g "ip link set lo up; mkfifo /tmp/said
  kiosk --disk vbd:xvda >/tmp/said 2>&1 & exec 3</tmp/said
  while read -r line <&3; do case \$line in *serving*) break ;; *) echo \"\$line\" ;; esac; done
  mkdir -p /tmp/got/deep && cd /tmp/got && for f in $files; do
    wget -q -O \$f http://127.0.0.1:8080/\$f || echo failed; done
  kill \$! && wait \$! || echo it ended with \$?
  sha256sum $files | sha256sum")" \
  "$sums" "what the kiosk serves"
