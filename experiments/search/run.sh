#!/bin/sh
# Builds the studies of the search and runs those that are named, or all, one after another; figures go to
# results.json beside this script, tables for README.md to the screen.
# Usage: run.sh [--quick] [STUDY ...]     LATHE_NASBENCH201=nasbench201.csv[.gz]; BUILD=folder chooses the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/search-study}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_BENCHMARKS=ON \
  -DLATHE_WITH_TORCH=OFF -DLATHE_WITH_FLEET=OFF -DLATHE_BUILD_TESTS=OFF >/dev/null
ninja -C "$build" search_study
quick=""
if [ "${1:-}" = --quick ]; then
  quick=--quick
  shift
fi
[ $# -gt 0 ] || set -- strategies racing winners devices models boards scaling overhead
for study in "$@"; do
  echo
  echo "== $study"
  case $study in
    scaling) set -- "$root/configs/spaces/efficientnet_224.yaml" ;;
    overhead) set -- "$root/configs/spaces/mobilenet_v2_28.yaml" ;;
    *) set -- ;;
  esac
  "$build/bin/search_study" "$study" --out "$here/results.json" $quick "$@"
done
