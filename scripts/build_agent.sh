#!/usr/bin/env bash
# Builds the agent for boards; see --help.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

usage() {
  cat <<'END'
scripts/build_agent.sh [--suite SUITE] arm64|armhf|amd64...
Builds lathe-agent for boards of these architectures, on a Debian machine, without touching its own packages:
  arm64  64-bit systems: Raspberry Pi 3, 4, 5, Zero 2 W and most others
  armhf  32-bit systems on ARMv7 with NEON or newer: Raspberry Pi 2 and later, Banana Pi, BeagleBone
  amd64  x86 machines
  --suite SUITE  Debian release whose libraries the agent brings along; default: bookworm

Makes, below build/agent/ARCHITECTURE/:
  lathe-agent_VERSION_ARCHITECTURE.deb     for Debian, Raspberry Pi OS, Ubuntu: apt install ./lathe-agent_...deb
  lathe-agent-VERSION-ARCHITECTURE.tar.xz  for any Linux: unpack anywhere and start bin/lathe-agent
Both carry all their libraries, so the board's own may be older or newer. docs/boards.md goes on from there.

Needs the packages under "Boards" in scripts/packages.txt (scripts/install.sh installs them) and the Debian
mirror that apt uses. What was fetched stays in build/agent/ARCHITECTURE/; delete that folder to fetch anew.
LATHE_WERROR=ON makes compiler warnings errors.
END
}

# What the agent is compiled and linked against; dependencies come by themselves.
packages=(libc6-dev libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev libonnx-dev libxnnpack-dev
  libpthreadpool-dev libssl-dev libyaml-cpp-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libboost-dev)
version="$(sed -n 's/^project(lathe VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"
suite="bookworm"

# choose ARCHITECTURE: sets triple, loader and preset.
choose() {
  case "$1" in
    arm64) triple=aarch64-linux-gnu loader=ld-linux-aarch64.so.1 preset=aarch64-agent ;;
    armhf) triple=arm-linux-gnueabihf loader=ld-linux-armhf.so.3 preset=armhf-agent ;;
    amd64) triple=x86_64-linux-gnu loader=ld-linux-x86-64.so.2 preset=amd64-agent ;;
    *)
      echo "$program: architecture = $1, expected arm64, armhf or amd64 (--help says which board is which)" >&2
      return 2
      ;;
  esac
}

require_tools() {
  local tool missing=()
  for tool in clang++-14 ld.lld-14 llvm-strip-14 protoc grpc_cpp_plugin dpkg-deb xz cmake ninja; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  if ((${#missing[@]} > 0)); then
    echo "$program: not installed: ${missing[*]}; run scripts/install.sh" >&2
    return 1
  fi
}

suites_of() {
  echo "$suite" "$suite-updates"
  # The security archive's index of armhf is not always whole; point releases bring its packages to the others.
  [[ "$1" == armhf ]] || echo "$suite-security"
}

# Absolute links would lead out of the sysroot.
make_links_relative() {
  local link target
  find "$1" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
    target="$(readlink "$link")"
    ln -snfr "$1$target" "$link"
  done
}

# fetch_sysroot ARCHITECTURE FOLDER: the board's packages, unpacked in FOLDER/sysroot, all of them or none.
fetch_sysroot() {
  local architecture="$1" folder="$2" wanted package compiler
  compiler=libstdc++-12-dev
  [[ "$suite" == bookworm ]] || compiler=libstdc++-14-dev
  wanted="$suite ${packages[*]} $compiler"
  if [[ "$(cat "$folder/sysroot.packages" 2>/dev/null)" == "$wanted" ]]; then
    echo "sysroot of $architecture: $folder/sysroot is there"
    return
  fi
  rm -rf "$folder/apt" "$folder/sysroot" "$folder/build" "$folder/sysroot.packages"
  mkdir -p "$folder/apt"
  # shellcheck disable=SC2046
  open_private_apt "$folder/apt" "$architecture" $(suites_of "$architecture")
  if ! "${private_apt[@]}" -y --no-install-recommends --download-only install "${packages[@]}" "$compiler" \
    >"$folder/apt/install.log" 2>&1; then
    tail -n 20 "$folder/apt/install.log" >&2
    echo "$program: packages of $suite for $architecture could not be fetched; all of apt's output is in" \
      "$folder/apt/install.log" >&2
    return 1
  fi
  for package in "$folder"/apt/cache/archives/*.deb; do dpkg -x "$package" "$folder/sysroot.new"; done
  make_links_relative "$folder/sysroot.new"
  mv "$folder/sysroot.new" "$folder/sysroot"
  rm -rf "$folder/apt/cache"
  echo "$wanted" >"$folder/sysroot.packages"
  du -sh "$folder/sysroot"
}

# The licences of what is linked or carried along, by Debian package.
copy_licences() {
  local sysroot="$1" to="$2" package
  mkdir -p "$to"
  for package in libc6 libstdc++6 libgrpc29 libgrpc++1.51 libprotobuf32 libabsl20220623 libre2-9 libre2-11 \
    libc-ares2 libcares2 libssl3 libssl3t64 zlib1g libonnx1 libonnx1t64 libxnnpack0 libpthreadpool0 libcpuinfo0 \
    nlohmann-json3-dev libcli11-dev; do
    if [[ -f "$sysroot/usr/share/doc/$package/copyright" ]]; then
      cp "$sysroot/usr/share/doc/$package/copyright" "$to/$package"
    fi
  done
}

# copy_needed SYSROOT FILE FOLDER: the shared libraries that the file needs, and those that they need.
copy_needed() {
  local sysroot="$1" to="$3" library found
  objdump -p "$2" | awk '$1 == "NEEDED" {print $2}' | while read -r library; do
    [[ -e "$to/$library" ]] && continue
    found="$(find "$sysroot/lib/$triple" "$sysroot/usr/lib/$triple" -maxdepth 1 -name "$library" 2>/dev/null | head -n 1)"
    if [[ -z "$found" ]]; then
      echo "$program: $2 needs $library, which is not in $sysroot; delete that folder to fetch it anew" >&2
      return 1
    fi
    llvm-strip-14 -o "$to/$library" "$(readlink -f "$found")"
    chmod 644 "$to/$library"
    copy_needed "$sysroot" "$to/$library" "$to"
  done
}

# lay_out SYSROOT PROGRAM FOLDER: the program as it lies in the bundle and below /usr/lib/lathe-agent.
lay_out() {
  local sysroot="$1" built="$2" to="$3"
  rm -rf "$to"
  mkdir -p "$to/bin" "$to/lib"
  llvm-strip-14 -o "$to/lathe-agent" "$built"
  copy_needed "$sysroot" "$to/lathe-agent" "$to/lib"
  chmod 755 "$to/lib/$loader"
  cat >"$to/bin/lathe-agent" <<END
#!/bin/sh
# Starts lathe-agent with the libraries that came with it, from wherever it was unpacked.
here="\$(dirname "\$(dirname "\$(readlink -f "\$0")")")"
exec "\$here/lib/$loader" --library-path "\$here/lib" "\$here/lathe-agent" "\$@"
END
  chmod 755 "$to/bin/lathe-agent"
  copy_licences "$sysroot" "$to/licences"
}

make_bundle() {
  local tree="$1" architecture="$2" folder="$3"
  local name="lathe-agent-$version-$architecture"
  rm -rf "${folder:?}/$name"
  cp -r "$tree" "$folder/$name"
  cp device_agent/deploy/lathe-agent.service device_agent/deploy/lathe-agent.avahi.xml "$folder/$name/"
  tar --create --xz --file "$folder/$name.tar.xz" --directory "$folder" --sort=name --owner=0 --group=0 \
    --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$name"
  rm -rf "${folder:?}/$name"
  echo "$folder/$name.tar.xz: $(stat -c %s "$folder/$name.tar.xz") bytes"
}

# The package around the tree; what it does when it is installed and removed is in device_agent/deploy/debian/.
make_deb() {
  local tree="$1" architecture="$2" folder="$3" deploy="device_agent/deploy" script
  local deb="$folder/deb" doc="$folder/deb/usr/share/doc/lathe-agent"
  rm -rf "$deb"
  mkdir -p "$deb/DEBIAN" "$deb/usr/bin" "$deb/usr/lib/systemd/system" "$deb/usr/share/lintian/overrides" "$doc"
  cp -r "$tree" "$deb/usr/lib/lathe-agent"
  rm -rf "$deb/usr/lib/lathe-agent/licences"
  ln -s ../lib/lathe-agent/bin/lathe-agent "$deb/usr/bin/lathe-agent"
  cp "$deploy/lathe-agent.service" "$deb/usr/lib/systemd/system/"
  cp "$deploy/lathe-agent.avahi.xml" "$doc/"
  cp -r "$tree/licences" "$doc/licences"
  cp "$deploy/debian/lintian-overrides" "$deb/usr/share/lintian/overrides/lathe-agent"
  cp "$deploy/debian/copyright" "$doc/copyright"
  sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$(date -R -u -d "@$SOURCE_DATE_EPOCH")/" \
    "$deploy/debian/changelog.in" | gzip -9n >"$doc/changelog.gz"
  sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
    -e "s/@SIZE@/$(du -sk --apparent-size "$deb/usr" | cut -f1)/" "$deploy/debian/control.in" >"$deb/DEBIAN/control"
  for script in postinst prerm postrm; do
    install -m 755 "$deploy/debian/$script" "$deb/DEBIAN/$script"
  done
  (cd "$deb" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  find "$deb" -type d -exec chmod 755 {} +
  find "$deb/usr" -type f ! -perm -u=x -exec chmod 644 {} +
  dpkg-deb --root-owner-group -Zxz --build "$deb" "$folder/lathe-agent_${version}_$architecture.deb"
  rm -rf "$deb"
}

build_for() {
  local architecture="$1" folder="$root/build/agent/$1"
  choose "$architecture"
  mkdir -p "$folder"
  begin_step "sysroot $architecture"
  fetch_sysroot "$architecture" "$folder"
  begin_step "compile $architecture"
  cmake --preset "$preset" -DLATHE_WERROR="${LATHE_WERROR:-OFF}" >"$folder/configure.log" 2>&1 || {
    tail -n 30 "$folder/configure.log" >&2
    return 1
  }
  cmake --build "$folder/build" --parallel "$jobs" --target lathe-agent
  begin_step "package $architecture"
  lay_out "$folder/sysroot" "$folder/build/bin/lathe-agent" "$folder/tree"
  make_bundle "$folder/tree" "$architecture" "$folder"
  make_deb "$folder/tree" "$architecture" "$folder"
  end_step
}

architectures=()
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --suite)
      suite="${2:-}"
      case "$suite" in
        bookworm | trixie) shift ;;
        *)
          echo "$program: --suite = $suite, expected bookworm or trixie" >&2
          exit 2
          ;;
      esac
      ;;
    *)
      choose "$1" || exit 2
      architectures+=("$1")
      ;;
  esac
  shift
done
if ((${#architectures[@]} == 0)); then
  usage >&2
  exit 2
fi
require_tools
# The same commit gives the same bytes.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH
for architecture in "${architectures[@]}"; do build_for "$architecture"; done
print_step_times
