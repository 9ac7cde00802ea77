#!/bin/sh
# Runs fuzzers one after another and stops at the first find, which it names. What a run discovers
# goes to the build folder; the kept seeds are tests/fuzz/corpus/NAME/*.seed, made bytes by seeds.py.
# Usage: run.sh BUILD/fuzz SECONDS NAME...
set -eu
folder=$1
seconds=$2
shift 2
here=$(dirname "$0")
for name in "$@"; do
  found=$folder/found/$name
  log=$folder/$name.log
  mkdir -p "$found"
  kept=$folder/seeds/$name
  "$here/seeds.py" unpack "$here/corpus/$name" "$kept"
  if ! "$folder/${name}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$folder/$name-" "$found" "$kept" >"$log" 2>&1; then
    tail -40 "$log"
    echo "FAILED $name: the input is the last file named above"
    exit 1
  fi
  echo "ok     $name  ($(tail -1 "$log"))"
done
