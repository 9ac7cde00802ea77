#!/bin/bash
# The demo serves every file of its tree, and stops without a trace when it is told to.
set -euo pipefail
cd "$(dirname "$0")/../.."

# It needs a package from the network, once.
if [ ! -s "$SPLITRING_BUILD/demo/tree.tar" ]; then
  CHECK=1 tools/dev/demo.sh --root "$SPLITRING_BUILD" >/dev/null 2>&1 ||
    [ -s "$SPLITRING_BUILD/demo/tree.tar" ] || { echo "no network for the demo's package"; exit 77; }
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

# With CHECK=1 it compares every file, says so in its last line, and leaves nothing.
CHECK=1 tools/dev/demo.sh --root "$SPLITRING_BUILD" >"$scratch/out" 2>&1 || { cat "$scratch/out"; exit 1; }
tail -n 1 "$scratch/out" | grep -Eq '^demo: ok \([0-9]{4,} files, [0-9]+ bytes\)$' ||
  { cat "$scratch/out"; exit 1; }
[ -z "$(find "$scratch" -name 'splitring-demo.*')" ] || { echo "it left files"; exit 1; }

# A file that differs is noticed.
cp -al "$SPLITRING_BUILD/demo" "$scratch/demo"
page=$(find "$scratch/demo/tree" -name '*.html' -print -quit)
cp "$page" "$scratch/copy"
printf x >>"$scratch/copy"
rm "$page"
mv "$scratch/copy" "$page"
mkdir "$scratch/root"
for program in splitring splitringd kiosk; do ln -s "$SPLITRING_BUILD/$program" "$scratch/root"; done
mv "$scratch/demo" "$scratch/root/demo"
if CHECK=1 tools/dev/demo.sh --root "$scratch/root" >"$scratch/out" 2>&1; then
  echo "a wrong page went unnoticed"
  exit 1
fi
grep -q 'FAILED: 1 faults' "$scratch/out" || { cat "$scratch/out"; exit 1; }

# Without CHECK it serves until it is told to stop, and then cleans up.
mkfifo "$scratch/lines"
PORT=0 tools/dev/demo.sh --root "$SPLITRING_BUILD" >"$scratch/lines" 2>"$scratch/errors" &
demo=$!
exec 3<"$scratch/lines"
url=
while IFS= read -r -t 60 -u 3 line; do
  case $line in "demo: open "*) url=${line#demo: open } && break ;; esac
done
[ -n "$url" ] || { cat "$scratch/errors"; exit 1; }
curl -sSf -o /dev/null "$url"
children=$(cat "/proc/$demo/task/$demo/children")
[ -n "$children" ] || { echo "it runs nothing"; exit 1; }
kill -TERM "$demo"
wait "$demo" || { echo "it did not stop cleanly"; exit 1; }
for child in $children; do
  if kill -0 "$child" 2>/dev/null; then
    echo "process $child is still there"
    exit 1
  fi
done
[ -z "$(find "$scratch" -name 'splitring-demo.*')" ] || { echo "it left files"; exit 1; }
