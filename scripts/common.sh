# shellcheck shell=bash disable=SC2034
# Helpers of the scripts beside it; sourced, not run.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
program="scripts/$(basename "$0")"
current_step=""
step_begin=0
step_times=()

# begin_step NAME: what follows belongs to NAME until end_step or the next begin_step.
begin_step() {
  end_step
  current_step="$1"
  step_begin=$SECONDS
  echo
  echo "== $current_step"
}

end_step() {
  if [[ -n "$current_step" ]]; then
    step_times+=("$(printf '%-34s %4d min %02d s' "$current_step" \
      $(((SECONDS - step_begin) / 60)) $(((SECONDS - step_begin) % 60)))")
  fi
  current_step=""
}

print_step_times() {
  echo
  echo "== Wall time of each step"
  printf '%s\n' "${step_times[@]}"
}

say_which_step_failed() {
  local status=$?
  if [[ $status -ne 0 && -n "$current_step" ]]; then
    echo >&2
    echo "$program: the step \"$current_step\" failed with exit status $status; the reason is above" >&2
  fi
}
trap say_which_step_failed EXIT

# debian_site LABEL: prints the address of the mirror with that label ("Debian", "Debian-Security") that this
# machine's apt uses.
debian_site() {
  local site
  site="$(apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' |
    awk -v label="$1" '$2 == label {print $1; exit}')"
  if [[ -z "$site" ]]; then
    echo "$program: apt knows no mirror with the label $1 (apt-get indextargets); expected a line" \
      "\"deb MIRROR SUITE main\" in /etc/apt/sources.list, and apt-get update to have run" >&2
    return 1
  fi
  echo "$site"
}

# open_private_apt FOLDER ARCHITECTURE SUITE...: an apt with its own sources and state, so that the machine's
# package lists stay as they are; needs no root. Leaves the command to call it in the array private_apt.
open_private_apt() {
  local folder="$1" architecture="$2" suite site
  shift 2
  private_apt=(apt-get -q -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture"
    -o "Dir::Etc::sourcelist=$folder/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
    -o "Dir::Etc::preferences=/dev/null" -o "Dir::Etc::preferencesparts=/dev/null"
    -o "Dir::State=$folder/state" -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder/cache"
    -o "APT::Sandbox::User=$(id -un)" -o "Acquire::Languages=none")
  mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
  : >"$folder/sources.list"
  : >"$folder/status"
  for suite in "$@"; do
    site="$(debian_site "$([[ "$suite" == *-security ]] && echo Debian-Security || echo Debian)")"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" \
      >>"$folder/sources.list"
  done
  if ! "${private_apt[@]}" -o "APT::Update::Error-Mode=any" update >"$folder/update.log" 2>&1; then
    cat "$folder/update.log" >&2
    echo "$program: the package lists of $* for $architecture could not be fetched; expected the mirrors in" \
      "$folder/sources.list to be reachable" >&2
    return 1
  fi
  if ! compgen -G "$folder/state/lists/*_binary-${architecture}_Packages*" >/dev/null; then
    echo "$program: $(cat "$folder/sources.list"): no packages for $architecture there; expected a mirror and a" \
      "suite that have this architecture" >&2
    return 1
  fi
}

# Compilers at once: every core, as long as each has 1.5 GB of memory (LibTorch's headers need it).
count_jobs() {
  local cores memory_kb by_memory
  cores="$(nproc)"
  memory_kb="$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)"
  by_memory=$((memory_kb / 1500000))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}
jobs="${LATHE_JOBS:-$(count_jobs)}"
