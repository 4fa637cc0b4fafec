#!/usr/bin/env bash
# Compiles (syntax only) what includes LibTorch, and the example's ONNX Runtime, against the headers of Debian 13
# (LibTorch 2.6), and runs the tests of the engines with Debian 13's XNNPACK 2024-11 and ONNX Runtime 1.21 on its own C
# library. Takes the packages from the mirror that apt uses and unpacks them into build/newer/; installs nothing and
# needs no root. Exit status 0: everything compiles and passes.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

release="trixie"
packages=(libtorch-dev libgloo-dev libxnnpack-dev libpthreadpool-dev libonnxruntime-dev libonnx-dev)
# What the engines run on.
libraries=(libxnnpack0.20241108 libpthreadpool0 libcpuinfo0 libc6 libgcc-s1 libstdc++6
  libonnxruntime1.21 libonnx1t64 libprotobuf32t64 libre2-11 libabsl20240722 zlib1g)
folder="$root/build/newer"
include="$folder/root/usr/include"
library="$folder/root/usr/lib/$(c++ -print-multiarch)"

fetch_headers() {
  local package
  open_private_apt "$folder" "$(dpkg --print-architecture)" "$release"
  (cd "$folder" && "${private_apt[@]}" download "${packages[@]}" "${libraries[@]}")
  mkdir -p "$folder/root"
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
}

# compile SOURCE: prints nothing unless it fails.
compile() {
  c++ -std=c++17 -fsyntax-only -w -DUSE_C10D_GLOO -DLATHE_HAS_GLOO -I"$root" -isystem "$include" \
    -isystem "$include/torch/csrc/api/include" -isystem /usr/include/opencv4 "$1" || {
    echo "$1: does not compile against Debian 13's headers" >&2
    return 1
  }
}
export -f compile
export root include

begin_step "headers of Debian 13"
version_header="$include/torch/csrc/api/include/torch/version.h"
[[ -f "$version_header" && -f "$include/gloo/context.h" && -f "$library/libXNNPACK.so" && -f "$library/libc.so.6" &&
  -f "$library/libonnxruntime.so" ]] || fetch_headers
version_of() { sed -n "s/^#define TORCH_VERSION_$1 *//p" "$version_header"; }
echo "LibTorch $(version_of MAJOR).$(version_of MINOR).$(version_of PATCH)"

begin_step "compile against them"
mapfile -t sources < <(git ls-files 'supernet/*.cpp')
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'compile "$0"'
echo "${#sources[@]} files compile"
c++ -std=c++17 -fsyntax-only -isystem "$include/onnxruntime" examples/classify/onnxruntime_network.cpp
echo "examples/classify compiles with ONNX Runtime"

begin_step "the engines on XNNPACK 2024-11 and ONNX Runtime"
# Debian 13's libraries need a newer C library than the linker sees; the loader below brings it.
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLATHE_WITH_TORCH=OFF \
  -DXNNPACK_INCLUDE_DIR="$include" -DPTHREADPOOL_INCLUDE_DIR="$include" \
  -DXNNPACK_LIBRARY="$library/libXNNPACK.so" -DPTHREADPOOL_LIBRARY="$library/libpthreadpool.so" \
  -DLATHE_WITH_ONNXRUNTIME=ON -DONNXRUNTIME_INCLUDE_DIR="$include/onnxruntime" \
  -DONNXRUNTIME_LIBRARY="$library/libonnxruntime.so" -DONNX_DIR="$library/cmake/ONNX" \
  -DCMAKE_EXE_LINKER_FLAGS="-Wl,--unresolved-symbols=ignore-in-shared-libs" -DCMAKE_SKIP_BUILD_RPATH=ON \
  --log-level=WARNING
tests=(agent_engine_xnnpack_test agent_engine_onnxruntime_test)
cmake --build "$folder/build" -j "$jobs" --target "${tests[@]}"
loader=("$library"/ld-linux*.so.*)
for test in "${tests[@]}"; do
  # Debian's library registers every schema of ONNX twice, and says so each time.
  "${loader[0]}" --library-path "$library:$(dirname "$(c++ -print-file-name=libyaml-cpp.so)")" \
    "$folder/build/bin/$test" 2> >(grep -v -e '^Schema error' -e '^$' >&2)
done
end_step
print_step_times
