#!/bin/sh
# Builds the studies of compression and runs those that are named, or all, one after another; figures go to
# results.json beside this script, tables for README.md to the screen.
# Usage: run.sh [--quick] [STUDY ...]     BUILD=folder chooses the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/compression-study}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_BENCHMARKS=ON \
  -DLATHE_WITH_FLEET=OFF -DLATHE_BUILD_TESTS=OFF >/dev/null
ninja -C "$build" compression_study
quick=""
if [ "${1:-}" = --quick ]; then
  quick="--quick"
  shift
fi
[ $# -gt 0 ] || set -- criteria
for study in "$@"; do
  echo
  echo "== $study"
  case $study in
    criteria) set -- ${quick:+--train-images 12000 --epochs 3} ;;
    *) set -- ;;
  esac
  "$build/bin/compression_study" "$study" --out "$here/results.json" $quick "$@"
done
