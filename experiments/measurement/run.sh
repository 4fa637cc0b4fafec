#!/bin/sh
# Builds and runs the studies of the measurement; figures go to results.json beside this script.
# Usage: run.sh [--quick] [--study NAME ...]     BUILD=folder chooses the build folder.
# The study "speed" wants ONNX Runtime: libonnxruntime-dev where the system has it (Debian 13), or
# ONNXRUNTIME_INCLUDE_DIR=folder of onnxruntime_c_api.h and ONNXRUNTIME_LIBRARY=libonnxruntime.so. Without them it takes
# what scripts/check_newer_versions.sh (the header) and scripts/install.sh (the library) have fetched, or is left out.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/measurement-study}
configure() {
  cmake -S "$root" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_BUILD_BENCHMARKS=ON -DLATHE_WITH_TORCH=OFF \
    -DLATHE_BUILD_TESTS=OFF "$@" >/dev/null
}
configure -B "$build"
ninja -C "$build" measurement_study cold_start lathe-agent

for header in "${ONNXRUNTIME_INCLUDE_DIR:-}" /usr/include/onnxruntime "$root/build/newer/root/usr/include/onnxruntime"; do
  [ -f "$header/onnxruntime_c_api.h" ] && break
  header=
done
machine=$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
for library in "${ONNXRUNTIME_LIBRARY:-}" /usr/lib/*/libonnxruntime.so \
  "${LATHE_NODE_MODULES:-$root/build/tools/node_modules}"/onnxruntime-node/bin/napi-v*/linux/"$machine"/libonnxruntime.so.1; do
  [ -f "$library" ] && break
  library=
done
if [ -n "$header" ] && [ -n "$library" ]; then
  configure -B "$build/onnxruntime" -DLATHE_WITH_ONNXRUNTIME=ON -DONNXRUNTIME_INCLUDE_DIR="$header" \
    -DONNXRUNTIME_LIBRARY="$library"
  ninja -C "$build/onnxruntime" lathe-agent
  set -- --onnxruntime-agent "$build/onnxruntime/bin/lathe-agent" "$@"
fi
exec "$build/bin/measurement_study" --out "$here/results.json" "$@"
