#!/usr/bin/env bash
# Builds the agent for 64-bit and 32-bit ARM boards, starts what was packaged under an emulator and runs a client
# against it: the agents describe themselves, mark their times as invalid, and compute what the agent for this
# machine computes (tests/latency/fleet/board_agents_test.cpp). Checks the packages, too. Exit status 0: all of it is right.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

limit_bytes=12000000
folder="$root/build/agent"
agents=()

for tool in qemu-aarch64 qemu-arm; do
  if ! command -v "$tool" >/dev/null; then
    echo "$program: $tool is not installed; run scripts/install.sh" >&2
    exit 1
  fi
done

# check_package ARCHITECTURE: the package holds what it should, and unpacks into build/agent/ARCHITECTURE/unpacked.
check_package() {
  local here="$folder/$1" deb file
  deb="$(ls "$here"/lathe-agent_*.deb)"
  [[ "$(dpkg-deb --field "$deb" Architecture)" == "$1" ]]
  rm -rf "$here/unpacked"
  dpkg-deb --extract "$deb" "$here/unpacked"
  for file in usr/bin/lathe-agent usr/lib/lathe-agent/lathe-agent usr/lib/systemd/system/lathe-agent.service \
    usr/share/doc/lathe-agent/copyright; do
    if [[ ! -e "$here/unpacked/$file" ]]; then
      echo "$program: $deb: $file is not in it" >&2
      return 1
    fi
  done
  for file in "$deb" "$here"/lathe-agent-*.tar.xz; do
    if (($(stat -c %s "$file") > limit_bytes)); then
      echo "$program: $file has $(stat -c %s "$file") bytes, expected at most $limit_bytes" >&2
      return 1
    fi
  done
  lintian --fail-on error --allow-root "$deb"
}

# emulate ARCHITECTURE EMULATOR LOADER PROCESSOR CPUINFO: adds a program to agents=() that starts the packaged agent
# on the emulated processor. The emulator would show the agent this machine's /proc/cpuinfo.
emulate() {
  local here="$folder/$1" name="$1-$4"
  local tree="$here/unpacked/usr/lib/lathe-agent" started="$folder/emulated/$1-$4"
  mkdir -p "$folder/emulated/prefix-$name/proc"
  printf '%b' "$5" >"$folder/emulated/prefix-$name/proc/cpuinfo"
  cat >"$started" <<END
#!/bin/sh
exec $2 -cpu $4 -L "$folder/emulated/prefix-$name" "$tree/lib/$3" --library-path "$tree/lib" "$tree/lathe-agent" "\$@"
END
  chmod 755 "$started"
  agents+=("$started")
}

LATHE_WERROR=ON scripts/build_agent.sh arm64 armhf

begin_step "check packages"
check_package arm64
check_package armhf
rm -rf "$folder/emulated"
armv8='Features\t: fp asimd evtstrm crc32 cpuid%s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: %s\n'
armv7='Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32\nCPU implementer\t: 0x41
CPU architecture: 7\nCPU part\t: 0xc07\n'
# shellcheck disable=SC2059
{
  emulate arm64 qemu-aarch64 ld-linux-aarch64.so.1 cortex-a53 "processor\t: 0\n$(printf "$armv8" "" 0xd03)\n"
  emulate arm64 qemu-aarch64 ld-linux-aarch64.so.1 cortex-a76 \
    "processor\t: 0\n$(printf "$armv8" " asimdhp asimddp" 0xd0b)\n"
}
emulate armhf qemu-arm ld-linux-armhf.so.3 cortex-a7 "processor\t: 0\n$armv7\n"

begin_step "build the client"
cmake --preset release -DLATHE_WERROR=ON >"$folder/configure.log" 2>&1 || {
  tail -n 30 "$folder/configure.log" >&2
  exit 1
}
cmake --build --preset release --parallel "$jobs" --target board_agents_test lathe-agent

begin_step "agents for boards under emulation"
LATHE_BOARD_AGENTS="$(
  IFS=:
  echo "${agents[*]}"
)" build/release/bin/board_agents_test
end_step
print_step_times
