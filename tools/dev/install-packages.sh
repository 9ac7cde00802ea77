#!/bin/sh
# Installs what is missing of the named groups of packages.txt. With nothing missing it asks for
# nothing and says nothing.  Usage: install-packages.sh GROUP...
set -eu
cd "$(dirname "$0")/../.."
wanted=$(for group in "$@"; do
  awk -v group="[$group]" '/^#/ || /^$/ { next } /^\[/ { on = ($0 == group); next } on' packages.txt
done | sort -u)
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii  *//p' | sort -u)
missing=$(printf '%s\n' "$wanted" | grep -vxF "$installed" || true)
[ -n "$missing" ] || exit 0
as_root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "These packages are missing and need root or sudo to install:" $missing >&2
    echo "As root: apt-get install --no-install-recommends" $missing >&2
    exit 1
  }
  as_root=sudo
fi
echo "Installing from Debian's packages:" $missing
# One build may call this twice at a time; apt waits for its own lock.
run() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >/dev/null; }
run update
run install -y --no-install-recommends $missing
