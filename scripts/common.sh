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
