#!/bin/sh
# Builds the studies of compression and runs those that are named, or all, one after another; figures go to
# results.json beside this script, tables for README.md to the screen.
# Usage: run.sh [--quick] [STUDY ...]     BUILD=folder chooses the build folder.
# Only when they are named: "delivered" trains a ResNet-20 and a supernet on all of Fashion-MNIST, "cifar10" runs
# configs/cifar10.yaml and studies what it chose; each takes two hours, and goes on where it was killed.
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
    cifar10)
      "$build/bin/lathe" data fetch cifar10
      "$build/bin/lathe" run "$root/configs/cifar10.yaml" --folder "$build/cifar10"
      "$build/bin/compression_study" quantisation --out "$here/results.json" --binary-epochs 0 "$build/cifar10"
      study=distillation
      set -- "$build/cifar10"
      ;;
    delivered)
      work=$build/delivered
      mkdir -p "$work"
      [ -f "$work/resnet20.onnx" ] || "$build/bin/compression_study" baseline --to "$work/resnet20.onnx"
      "$build/bin/lathe" run "$root/configs/fashion_mnist.yaml" --folder "$work/run" \
        --set "report.baselines=[$work/resnet20.onnx, largest]"
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
