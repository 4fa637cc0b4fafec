#!/bin/sh
# Builds and runs the studies of the measurement; figures go to results.json beside this script.
# Usage: run.sh [--quick] [--study NAME ...]     BUILD=folder chooses the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/measurement-study}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_BENCHMARKS=ON \
  -DLATHE_WITH_TORCH=OFF -DLATHE_BUILD_TESTS=OFF >/dev/null
ninja -C "$build" measurement_study lathe-agent
exec "$build/bin/measurement_study" --out "$here/results.json" "$@"
