#!/bin/sh
# Builds the studies of compression and runs those that are named, or all, one after another; figures go to
# results.json beside this script, tables for README.md to the screen.
# Usage: run.sh [--quick] [STUDY ...]     BUILD=folder chooses the build folder.
# The study "delivered" trains a ResNet-20 and a supernet, each with all images, and takes two hours: only when it is named.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/compression-study}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_BENCHMARKS=ON \
  -DLATHE_BUILD_TESTS=OFF >/dev/null
ninja -C "$build" compression_study lathe lathe-agent
quick=""
if [ "${1:-}" = --quick ]; then
  quick="--quick"
  shift
fi
[ $# -gt 0 ] || set -- criteria quantisation
for study in "$@"; do
  echo
  echo "== $study"
  case $study in
    delivered)
      work=$build/delivered
      mkdir -p "$work"
      [ -f "$work/resnet20.onnx" ] || "$build/bin/compression_study" baseline --to "$work/resnet20.onnx"
      "$build/bin/lathe" run "$root/configs/fashion_mnist.yaml" --folder "$work/run" \
        --set "report.baselines=[$work/resnet20.onnx]"
      set -- "$work/run"
      ;;
    criteria) set -- $quick ${quick:+--train-images 12000 --epochs 3} ;;
    quantisation)
      set -- "$root/configs/spaces/mobilenet_28.yaml" \
        ${quick:+--networks 2 --train-images 12000 --epochs 3 --binary-epochs 1}
      ;;
    *) set -- ;;
  esac
  "$build/bin/compression_study" "$study" --out "$here/results.json" "$@"
done
