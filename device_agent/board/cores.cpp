#include "device_agent/board/cores.h"

#include <sched.h>

#include <algorithm>
#include <set>
#include <string>

#include "core/error.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace {

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
  }
  return cores;
}

bool set_cores(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<size_t>(core), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

// No program is put on such a core unless it asks for it, and some machines refuse even then.
std::vector<int> isolated_cores(const std::filesystem::path& root) {
  const auto text = read_text(root / "sys/devices/system/cpu/isolated");
  const std::vector<int> before = allowed_cores();
  std::vector<int> usable;
  for (const int core : parse_core_list(text.value_or(""))) {
    if (core < CPU_SETSIZE && set_cores({core})) usable.push_back(core);
  }
  set_cores(before);
  return usable;
}

}  // namespace

int measuring_core(const BoardInfo& board, const std::vector<int>& usable) {
  if (usable.empty()) throw InvariantError("measuring_core: the list of usable cores is empty");
  const std::set<int> allowed(usable.begin(), usable.end());
  for (auto cluster = board.clusters.rbegin(); cluster != board.clusters.rend(); ++cluster) {
    for (auto core = cluster->cores.rbegin(); core != cluster->cores.rend(); ++core) {
      if (allowed.count(*core) > 0) return *core;
    }
  }
  return usable.back();
}

std::vector<int> choose_cores(const std::filesystem::path& root, const BoardInfo& board,
                              int wanted) {
  const std::vector<int> isolated = isolated_cores(root);
  std::vector<int> cores = allowed_cores();
  const int core =
      wanted >= 0 ? wanted : measuring_core(board, isolated.empty() ? cores : isolated);
  for (const int other : isolated) {
    if (std::find(cores.begin(), cores.end(), other) == cores.end()) cores.push_back(other);
  }
  if (std::find(cores.begin(), cores.end(), core) == cores.end()) {
    throw ConfigError("--cpu = " + std::to_string(core) +
                      ", expected a core that this process may use");
  }
  cores.erase(std::remove(cores.begin(), cores.end(), core), cores.end());
  if (!cores.empty()) set_cores(cores);
  cores.push_back(core);
  return cores;
}

}  // namespace lathe::device
