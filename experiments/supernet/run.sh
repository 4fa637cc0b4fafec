#!/bin/sh
# Builds the studies of the supernet and runs those that are named, or all, one after another; figures go to
# results.json beside this script, tables for README.md to the screen.
# Usage: run.sh [--quick] [STUDY ...]     BUILD=folder chooses the build folder.
# Only when it is named: "ranking" trains ranking/small.yaml and ranking/cifar10_small.yaml (which wants lathe data fetch
# cifar10), each with 12 of its networks alone, and goes on where it was killed; figures go to the .json beside each.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/supernet-study}
spaces=$root/configs/spaces
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_BENCHMARKS=ON \
  -DLATHE_WITH_FLEET=OFF -DLATHE_BUILD_TESTS=OFF >/dev/null
ninja -C "$build" supernet_study
quick=""
if [ "${1:-}" = --quick ]; then
  quick=--quick
  shift
fi
[ $# -gt 0 ] || set -- step evaluation
for study in "$@"; do
  echo
  echo "== $study"
  case $study in
    ranking)
      cmake -S "$root" -B "$build/whole" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_TESTS=OFF >/dev/null
      ninja -C "$build/whole" lathe
      ninja -C "$build/whole" lathe-agent
      for name_epochs in small:24 cifar10_small:20; do
        name=${name_epochs%:*}
        "$build/whole/bin/lathe" train "$here/ranking/$name.yaml" --folder "$build/ranking-$name"
        "$build/whole/bin/lathe" supernet rank "$build/ranking-$name" --epochs "${name_epochs#*:}"
        cp "$build/ranking-$name/ranking.json" "$here/ranking/$name.json"
      done
      continue
      ;;
    step) set -- "$spaces/mobilenet_28.yaml" "$spaces/mobilenet_v2_28.yaml" "$spaces/mobilenet_v3_32.yaml" ;;
    evaluation) set -- "$spaces/mobilenet_v2_28.yaml" ;;
    *) set -- ;;
  esac
  "$build/bin/supernet_study" "$study" --out "$here/results.json" $quick "$@"
done
