#!/bin/sh
# Runs fuzzers one after another and stops at the first find, which it names. What a run discovers
# goes to the build folder; the kept seeds of tests/fuzz/corpus/NAME are only read.
# Usage: run.sh BUILD/fuzz SECONDS NAME...
set -eu
folder=$1
seconds=$2
shift 2
seeds=$(dirname "$0")/corpus
for name in "$@"; do
  found=$folder/found/$name
  log=$folder/$name.log
  mkdir -p "$found"
  kept=
  [ -d "$seeds/$name" ] && kept=$seeds/$name
  # shellcheck disable=SC2086  # no kept seeds: no argument
  if ! "$folder/${name}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$folder/$name-" "$found" $kept >"$log" 2>&1; then
    tail -40 "$log"
    echo "FAILED $name: the input is the last file named above"
    exit 1
  fi
  echo "ok     $name  ($(tail -1 "$log"))"
done
