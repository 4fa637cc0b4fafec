#!/usr/bin/env bash
# Compiles (syntax only) what includes LibTorch and XNNPACK against the headers of Debian 13: LibTorch 2.6 and
# XNNPACK 2024-11. Takes the packages from the mirror that apt uses and unpacks them into build/newer/;
# installs nothing and needs no root. Exit status 0: everything compiles.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

release="trixie"
packages=(libtorch-dev libxnnpack-dev libpthreadpool-dev)
folder="$root/build/newer"
include="$folder/root/usr/include"

fetch_headers() {
  local site
  site="$(apt-get indextargets --format '$(SITE) $(CODENAME) $(LABEL)' 'Created-By: Packages' |
    awk '$3 == "Debian" {print $1; exit}')"
  if [[ -z "$site" ]]; then
    echo "$program: apt knows no Debian mirror (apt-get indextargets); expected one" >&2
    return 1
  fi
  # An apt of its own, so that the machine's package lists stay as they are.
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/root"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $release main" >"$folder/sources.list"
  local own=(-o "Dir::Etc::sourcelist=$folder/sources.list" -o "Dir::Etc::sourceparts=-"
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o "APT::Sandbox::User=root")
  apt-get "${own[@]}" update -q
  (cd "$folder" && apt-get "${own[@]}" download -q "${packages[@]}")
  local package
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
}

# compile SOURCE: prints nothing unless it fails.
compile() {
  c++ -std=c++17 -fsyntax-only -w -I"$root" -isystem "$include" \
    -isystem "$include/torch/csrc/api/include" "$1" || {
    echo "$1: does not compile against Debian 13's headers" >&2
    return 1
  }
}
export -f compile
export root include

begin_step "headers of Debian 13"
version_header="$include/torch/csrc/api/include/torch/version.h"
[[ -f "$version_header" && -f "$include/xnnpack.h" ]] || fetch_headers
version_of() { sed -n "s/^#define TORCH_VERSION_$1 *//p" "$version_header"; }
echo "LibTorch $(version_of MAJOR).$(version_of MINOR).$(version_of PATCH)"

begin_step "compile against them"
mapfile -t sources < <(git ls-files 'supernet/*.cpp')
sources+=(device_agent/engine/xnnpack/{operators,int8_operators}_2024.cpp)
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'compile "$0"'
echo "${#sources[@]} files compile"
end_step
print_step_times
