#include "core/memory.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "core/error.h"
#include "core/file.h"

namespace lathe {
namespace {

/// The number in a file that holds nothing else; -1 if there is no such file or no number ("max").
int64_t number_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  int64_t value = -1;
  return file >> value ? value : -1;
}

}  // namespace

int64_t available_memory_bytes(const std::filesystem::path& root) {
  const std::filesystem::path path = root / "proc/meminfo";
  std::istringstream lines(read_file(path));
  int64_t available = -1;
  for (std::string name; lines >> name;) {
    if (name == "MemAvailable:" && lines >> available) available *= 1024;
    lines.ignore(256, '\n');
  }
  if (available < 0) throw DataError(path.string() + ": has no MemAvailable");
  const int64_t limit = number_in(root / "sys/fs/cgroup/memory.max");
  const int64_t used = number_in(root / "sys/fs/cgroup/memory.current");
  if (limit < 0 || used < 0) return available;
  return std::min(available, std::max<int64_t>(0, limit - used));
}

}  // namespace lathe
