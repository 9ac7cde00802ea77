# What the lab's scenarios share. Source: tests/xen; each runs as root in domain 0.
export PATH=/usr/lib/xen-4.17/bin:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root
lab=/dev/shm/lab

# ---- saying what is wrong ---------------------------------------------------------------------
fail() {
  echo "FAILED: $*"
  exit 1
}
# contains TEXT PATTERN: a pattern of grep -E.
contains() { grep -Eq -- "$2" <<<"$1" || fail "no \"$2\" in: $1"; }
lacks() { ! grep -Eq -- "$2" <<<"$1" || fail "\"$2\" in: $1"; }
same() { [ "$1" = "$2" ] || fail "${3:-not the same}: \"$1\", not \"$2\""; }
# succeeds COMMAND...; fails TEXT-PATTERN COMMAND...: says so.
succeeds() { "$@" || fail "status $? of: $*"; }
fails() {
  local pattern=$1 output
  shift
  output=$("$@" 2>&1) && fail "should have failed: $* ($output)"
  contains "$output" "$pattern"
}

# ---- waiting for the store, which tells when something changes ---------------------------------
# until_so SECONDS PATH COMMAND...: looks after every change there. False if it never says yes.
until_so() {
  local deadline=$((SECONDS + patience * $1)) path=$2 events watcher left status=1
  shift 2
  ! "$@" || return 0
  exec {events}< <(exec xenstore-watch "$path")
  watcher=$!
  # It speaks of the watch itself first: what changes between two looks is not missed.
  while left=$((deadline - SECONDS)) && [ "$left" -gt 0 ] && read -r -t "$left" -u "$events"; do
    if "$@"; then
      status=0
      break
    fi
  done
  kill "$watcher" 2>/dev/null
  exec {events}<&-
  return "$status"
}

# wait_node PATH PATTERN [SECONDS]: until the node's value matches, below /local/domain/N. A node that
# is gone reads as "". Leaves the value in $value.
wait_node() {
  until_so "${3:-30}" "$1" node_matches "$1" "$2" ||
    fail "$1 is \"$value\", not $2, after ${3:-30} s"
}
node_matches() {
  local below=${1#/local/domain/}
  value=$(xenstore-read "$1" 2>/dev/null)
  [[ ! "$value" =~ $2 ]] || return 0
  xenstore-exists "/local/domain/${below%%/*}" || fail "the domain of $1 is no more"
  return 1
}

# wait_gone PATH [SECONDS]: until there is no such node.
wait_gone() {
  until_so "${2:-30}" "$1" is_gone "$1" || fail "$1 is there still: $(xenstore-ls "$1")"
}
is_gone() { ! xenstore-exists "$1"; }

# ---- our daemon -------------------------------------------------------------------------------
# start_daemon OPTIONS...: returns once it serves. Variables of the caller: log_level (debug),
# daemon_wrapper (what comes before its name).
start_daemon() {
  local line
  : >"$lab/daemon.log"
  rm -f "$lab/daemon.out"
  mkfifo "$lab/daemon.out"
  ${daemon_wrapper:-} splitringd --log-level "${log_level:-debug}" "$@" >"$lab/daemon.out" 2>>"$lab/daemon.log" &
  daemon=$!
  echo "$daemon" >"$lab/daemon.pid"
  exec {daemon_output}<"$lab/daemon.out"
  read -r -t $((patience * 10)) -u "$daemon_output" line
  [ "${line:-}" = "splitringd: ready" ] || fail "splitringd did not start: ${line:-}"
}
stop_daemon() {
  [ -n "${daemon:-}" ] || return 0
  kill "$daemon" 2>/dev/null
  kill -CONT "$daemon" 2>/dev/null  # if the scenario has stopped it
  wait "$daemon" 2>/dev/null
  daemon=
  rm -f "$lab/daemon.pid"
}
daemon=

# ---- guests -----------------------------------------------------------------------------------
# start_guest NAME [LINE-OF-CONFIGURATION...]: returns once it runs commands. Variables of the
# caller: guest_modules (xen-blkfront), guest_kernel (more of its command line), guest_vcpus (1),
# guest_memory (384), guest_ramdisk.
start_guest() {
  local name=$1 output
  shift
  {
    printf 'name="%s"\nkernel="%s/vmlinux"\nramdisk="%s"\n' "$name" "$lab" \
      "${guest_ramdisk:-$lab/guest.img}"
    printf 'memory=%s\nvcpus=%s\n' "${guest_memory:-384}" "${guest_vcpus:-1}"
    # ramfs: a tmpfs would end at half of the memory, and the archive is in memory too at first.
    printf 'extra="console=hvc0 rdinit=/init rootfstype=ramfs panic=-1 loglevel=4 %s %s"\n' \
      "lab.modules=${guest_modules-xen-blkfront}" "${guest_kernel-}"
    printf 'on_crash="%s"\n' "${guest_on_crash:-destroy}"
    printf '%s\n' "$@"
  } >"$lab/$name.cfg"
  output=$(xl create "$lab/$name.cfg" 2>&1) || fail "xl create: $output"
  domids[$name]=$(xl domid "$name")
  guest_is_up "$name"
}
guest_is_up() {
  local domain
  domain=$(domid "$1") || fail "no guest $1"
  wait_node "/local/domain/$domain/data/lab/answer" . 60
}
# in_guest NAME COMMAND: its output, and its status (255: none in $guest_seconds, 60).
in_guest() {
  local domain directory
  domain=$(domid "$1") || fail "no guest $1"
  directory=/local/domain/$domain/data/lab
  guest_command=$((${guest_command:-$RANDOM} + 1))
  # A subshell counts for itself: time and chance make its numbers new.
  local number=$guest_command.$(date +%s).$RANDOM
  xenstore-write -R "$directory/command" "$number $2"
  wait_node "$directory/answer" "^${number//./\\.} " "${guest_seconds:-60}"
  local status=${value#* }
  xenstore-read -R "$directory/output"
  echo
  return "$status"
}
# For a command that does not come back.
in_guest_background() {
  background_number=$(date +%s).$RANDOM
  xenstore-write -R "/local/domain/$(domid "$1")/data/lab/command" "$background_number $2"
}
# domid NAME: the one that start_guest found, if it is that guest still; asking xl takes much longer.
declare -A domids=()
domid() {
  local known=${domids[$1]:-}
  if [ -n "$known" ] && [ "$(xenstore-read "/local/domain/$known/name" 2>/dev/null)" = "$1" ]; then
    echo "$known"
  else
    xl domid "$1"
  fi
}
# wait_for_another NAME DOMID: until a guest of that name is another domain: it has rebooted.
wait_for_another() {
  until_so 60 @introduceDomain is_another "$1" "$2" || fail "$1 did not come back"
}
is_another() {
  local now
  now=$(xl domid "$1" 2>/dev/null)
  [ -n "$now" ] && [ "$now" != "$2" ]
}

# ---- disks of our own kind ------------------------------------------------------------------
# attach GUEST VDEV TARGET [OPTIONS...]: returns once the guest has it.
attach() {
  attach_only "$@"
  wait_device "$1" "$2"
}
# attach_only ...: returns once the backend has it.
attach_only() {
  local guest=$1 vdev=$2 target=$3 said
  shift 3
  said=$(splitring attach --domain "$(domid "$guest")" --vdev "$vdev" --kind splitring \
    --wait $((patience * 10)) --target "$target" "$@" 2>&1) || fail "$said"
}
# wait_device GUEST VDEV: until the guest's kernel has made a disk of it.
wait_device() {
  succeeds in_guest "$1" "for i in \$(seq $((patience * 150))); do
    [ ! -b /dev/$2 ] || exit 0; usleep 100000; done; dmesg | tail; exit 1" >/dev/null
}
detach() {
  local said
  said=$(splitring detach --domain "$(domid "$1")" --vdev "$2" \
    --timeout $((patience * 10)) 2>&1) || fail "$said"
}

# ---- a load that goes on ------------------------------------------------------------------------
# start_load GUEST VDEV FIO-OPTION...: returns once it moves. It goes on until end_load.
start_load() {
  succeeds in_guest "$1" "fio --name=load --filename=/dev/$2 --direct=1 --ioengine=libaio \
    --time_based --runtime=1000 ${*:3} >/tmp/load 2>&1 & echo \$! >/tmp/load.pid"
  load_moves "$1" "$2"
}
# load_moves GUEST VDEV: until 50 more requests are done. One that verifies only reads for a while.
load_moves() {
  succeeds in_guest "$1" "requests() { awk '{print \$1 + \$5}' /sys/block/$2/stat; }
    was=\$(requests)
    for i in \$(seq $((patience * 300))); do
      [ \"\$(requests)\" -lt \$((was + 50)) ] || exit 0; usleep 100000
    done; cat /tmp/load; dmesg | tail; exit 1"
}
# end_load GUEST: it was running still, and met no error and no wrong block.
end_load() {
  succeeds in_guest "$1" "kill -INT \$(cat /tmp/load.pid) || { cat /tmp/load; exit 1; }
    for i in \$(seq $((patience * 600))); do
      [ -e /proc/\$(cat /tmp/load.pid) ] || break; usleep 100000; done
    cat /tmp/load; grep 'err= 0' /tmp/load && ! grep -qi 'verify:\|error' /tmp/load"
}
verified='--rw=randwrite --bs=4k --iodepth=16 --verify=crc32c --verify_fatal=1 --loops=1000'

# ---- our frontend in a guest -------------------------------------------------------------------
# claim GUEST VDEV: from the guest's kernel.
claim() {
  succeeds in_guest "$1" "splitring claim $2 && [ ! -e /sys/block/$2 ]"
}
# Linux 6.1 takes a disk once only: then it has to be said, and the disk attached anew.
give_back() {
  local said
  said=$(in_guest "$1" "splitring claim --release $2") || contains "$said" 'takes a disk once only'
}
# conformance GUEST VDEV [OPTION]: of a disk of 4 MiB.
conformance() {
  local said
  said=$(guest_seconds=180 in_guest "$1" "disk_conformance ${*:2}") || fail "$said"
  contains "$said" 'PASSED.* 1[0-9] tests'
}
# copied GUEST VDEV: what our frontend writes is in $lab/a.img, and what is there it reads.
copied() {
  local written
  written=$(in_guest "$1" "head -c 4194304 /dev/urandom >/tmp/data
    splitring cp raw:/tmp/data vbd:$2 >/dev/null && sha256sum </tmp/data") || fail "$written"
  same "$(sum "$lab/a.img")" "$written" "the image"
  dd if=/dev/urandom of="$lab/b.img" bs=1M count=4 2>/dev/null
  dd if="$lab/b.img" of="$lab/a.img" bs=1M conv=notrunc 2>/dev/null
  same "$(in_guest "$1" "truncate -s 4M /tmp/data; splitring cp vbd:$2 raw:/tmp/data >/dev/null
    sha256sum </tmp/data")" "$(sum "$lab/b.img")" "what is read"
}

# ---- images -----------------------------------------------------------------------------------
# make_image NAME MEGABYTES: zeroes, in memory.
make_image() {
  rm -f "$lab/$1"
  truncate -s "${2}M" "$lab/$1"
}

# sum FILE [MEGABYTES]: of its beginning, or of all of it.
sum() { dd if="$1" bs=1M ${2:+count=$2} 2>/dev/null | sha256sum; }

# ---- at the end: nothing is left for the next scenario -----------------------------------------
destroy_guests() {
  local name
  for name in $(xl list 2>/dev/null | awk 'NR > 2 {print $1}'); do xl destroy "$name"; done
}
clean_up() {
  local status=$?
  destroy_guests
  stop_daemon
  [ "$status" = 0 ] || cat "$lab/daemon.log" 2>/dev/null
  remove_files
  exit "$status"
}
# All but what every guest is made of.
remove_files() {
  find "$lab" -mindepth 1 -maxdepth 1 ! -name vmlinux ! -name guest.img -exec rm -rf {} +
}
trap clean_up EXIT
# A scenario whose time was over has not come so far.
[ ! -s "$lab/daemon.pid" ] || kill -9 "$(cat "$lab/daemon.pid")" 2>/dev/null
[ "$(xenstore-list /local/domain)" = 0 ] || destroy_guests
remove_files
