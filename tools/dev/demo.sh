#!/bin/bash
# A documentation tree on a disk, a disk on a ring, and a web site on that: what `make demo` runs.
#
# Usage: demo.sh --root BUILD/release
#   PORT=N      where the kiosk listens (8080, or a free port if that is taken or with CHECK=1)
#   CHECK=1     fetch every file, compare it with the tree, and end
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "${1:-}" = --root ] && [ -n "${2:-}" ] || { echo "usage: $0 --root BUILD/release" >&2; exit 2; }
root=$2
check=${CHECK:-}
port=${PORT:-}
pages=$root/demo
tree=$pages/tree
image=$pages/tree.tar
run=
declare -A pids=() outputs=()

say() { printf 'demo: %s\n' "$*"; }
fail() {
  printf 'demo: FAILED: %s\n' "$*" >&2
  exit 1
}

# ---- the pages: unpacked from a Debian package, not installed -------------------------------------

download() {
  local options=()
  [ "$(id -u)" != 0 ] || options=(-o APT::Sandbox::User=root)
  (cd "$pages" && apt-get -qq "${options[@]}" download "$1" 2>>download.log)
}

# A machine that has never updated its lists does not know the package.
update_lists() {
  local as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get -qq update >>"$pages/download.log" 2>&1
}

make_pages() {
  local package
  package=$(awk '/^\[/ { on = ($0 == "[demo-pages]"); next } on && NF && !/^#/' packages.txt)
  rm -rf "$pages"
  mkdir -p "$pages/unpacked"
  say "downloading $package from Debian"
  download "$package" || { update_lists && download "$package"; } ||
    fail "cannot download $package: $(tail -n 1 "$pages/download.log") (is there a network?)"
  dpkg-deb -x "$pages/$package"_*.deb "$pages/unpacked"
  # Its translations link to one another: here each file is one of its own.
  cp -rL "$pages/unpacked/usr/share/doc/$package/manual" "$tree"
  rm -rf "$pages/unpacked" "$pages/$package"_*.deb
  say "making a tar image of it"
  tar --sort=name --owner=0 --group=0 --numeric-owner -C "$tree" -cf "$image.part" .
  mv "$image.part" "$image"
}

# A number, or 0 for a free one.
choose_port() {
  if [ -n "$check" ] || (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; then echo 0; else echo 8080; fi
}

# ---- the processes -------------------------------------------------------------------------------

# start NAME READY COMMAND...: returns when a line of its output begins with READY; $line is that.
# They ignore Ctrl-C as every background process of a script does: cleanup() stops them in order.
start() {
  local name=$1 ready=$2 output
  shift 2
  mkfifo "$run/$name.out"
  "$@" >"$run/$name.out" 2>"$run/$name.log" &
  pids[$name]=$!
  exec {output}<"$run/$name.out"
  outputs[$name]=$output  # stays open: the writer must not meet a closed pipe
  while IFS= read -r -t 60 -u "$output" line; do
    case $line in "$ready"*) return 0 ;; esac
  done
  cat "$run/$name.log" >&2
  fail "$name did not start"
}

# Its output ends when it does; one that hangs must not keep the others.
stop() {
  local pid=${pids[$1]:-} status=0
  [ -n "$pid" ] || return 0
  unset "pids[$1]"
  kill -TERM "$pid" 2>/dev/null || true
  while [ "$status" = 0 ]; do
    read -r -t 10 -u "${outputs[$1]}" || status=$?
  done
  [ "$status" -le 128 ] || kill -KILL "$pid"  # the time was over
  wait "$pid" 2>/dev/null || true
}

cleanup() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  stop kiosk
  if [ -n "${pids[splitringd]:-}" ] && [ -n "${pids[host]:-}" ]; then
    "$root/splitring" detach --host "$run/host" --domain 1 --vdev xvda --force >/dev/null 2>&1 || true
  fi
  stop splitringd
  stop host
  [ -z "$run" ] || rm -rf "$run"
  exit "$status"
}

interrupted() {
  [ -z "$check" ] || exit 130
  printf '\n'
  say "stopped"
  exit 0
}

trap cleanup EXIT
trap interrupted INT TERM

[ -s "$image" ] && [ -d "$tree" ] || make_pages
files=$(find "$tree" -type f | wc -l)
say "$files files, $(du -h --apparent-size "$image" | cut -f 1) of tar image: $image"

# Paths of sockets are short: not under the build folder.
run=$(mktemp -d "${TMPDIR:-/tmp}/splitring-demo.XXXXXX")
start host "host: ready" "$root/splitring" host --dir "$run/host" --domain 1
say "emulated host in $run/host, with domain 1"
start splitringd "splitringd: ready" "$root/splitringd" --host "$run/host" --allow-root "$pages"
say "splitringd serves the disks of domain 0"
"$root/splitring" attach --host "$run/host" --domain 1 --vdev xvda --mode r \
  --target "raw:$(realpath "$image")" >"$run/attach.log" 2>&1 ||
  { cat "$run/attach.log" "$run/splitringd.log" >&2; fail "the disk could not be attached"; }
say "$(cat "$run/attach.log")"
[ -n "$port" ] || port=$(choose_port)
start kiosk "kiosk: serving" "$root/kiosk" --host "$run/host" --domain 1 \
  --disk 'vbd:xvda?lanes=2' --threads 2 --listen "127.0.0.1:$port" \
  --backend-control "$run/host/0/splitringd.control"
url=${line##* at }
say "the kiosk in domain 1 reads xvda over the ring"

if [ -n "$check" ]; then
  result=$(tools/dev/demo_check.py "$url" "$tree") || { cat "$run"/*.log >&2; exit 1; }
  reads=$("$root/splitring" list -v --json --host "$run/host" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["serving"]["counters"]["requests"]["read"])')
  [ "$reads" -gt 0 ] || fail "no request went over the ring"
  say "$reads reads over the ring"
  printf '%s\n' "$result"
  exit 0
fi

say "open $url"
say "Ctrl-C stops it"
wait -n "${pids[@]}" || true
cat "$run"/*.log >&2
fail "a process ended by itself"
