#include "device_agent/board/board.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

#include "core/file.h"
#include "device_agent/board/emulation.h"
#include "device_agent/board/processor.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace fs = std::filesystem;

namespace {

std::string cpu_folder(int core) { return "sys/devices/system/cpu/cpu" + std::to_string(core); }

std::string read_model(const fs::path& root) {
  for (const char* path : {"proc/device-tree/model", "sys/firmware/devicetree/base/model"}) {
    if (const auto text = read_text(root / path); text && !text->empty()) return *text;
  }
  std::string model;
  for (const char* name : {"sys_vendor", "product_name"}) {
    const std::string part = read_text(root / "sys/class/dmi/id" / name).value_or("");
    if (!part.empty()) model += (model.empty() ? "" : " ") + part;
  }
  return model;
}

// The second of the device tree's NUL-separated names is the SoC, the first the board.
std::string read_soc(const fs::path& root, const Processor& processor) {
  for (const char* path :
       {"proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible"}) {
    const auto text = read_text(root / path);
    if (!text || text->empty()) continue;
    const size_t last = text->rfind('\0');
    return last == std::string::npos ? *text : text->substr(last + 1);
  }
  return processor.name;
}

std::vector<int> online_cores(const fs::path& root, const Processor& processor) {
  std::vector<int> cores =
      parse_core_list(read_text(root / "sys/devices/system/cpu/online").value_or(""));
  if (cores.empty()) {
    for (int core = 0; core < std::max(1, processor.cores); ++core) cores.push_back(core);
  }
  return cores;
}

CoreCluster describe_core(const fs::path& root, int core, const Processor& processor) {
  const fs::path folder = root / cpu_folder(core);
  CoreCluster cluster;
  cluster.name = processor.core_name(core);
  cluster.governor = read_text(folder / "cpufreq/scaling_governor").value_or("");
  cluster.min_hz =
      1e3 * static_cast<double>(read_number(folder / "cpufreq/cpuinfo_min_freq").value_or(0));
  cluster.max_hz =
      1e3 * static_cast<double>(read_number(folder / "cpufreq/cpuinfo_max_freq").value_or(0));
  cluster.capacity = read_number(folder / "cpu_capacity").value_or(1024);
  return cluster;
}

std::vector<CoreCluster> read_clusters(const fs::path& root, const Processor& processor) {
  std::vector<CoreCluster> clusters;
  for (const int core : online_cores(root, processor)) {
    CoreCluster described = describe_core(root, core, processor);
    const auto same = std::find_if(clusters.begin(), clusters.end(), [&](const CoreCluster& other) {
      return other.name == described.name && other.governor == described.governor &&
             other.max_hz == described.max_hz && other.capacity == described.capacity;
    });
    CoreCluster& cluster = same == clusters.end() ? clusters.emplace_back(described) : *same;
    cluster.cores.push_back(core);
  }
  std::stable_sort(
      clusters.begin(), clusters.end(), [](const CoreCluster& a, const CoreCluster& b) {
        return a.capacity != b.capacity ? a.capacity < b.capacity : a.max_hz < b.max_hz;
      });
  return clusters;
}

double hottest_zone_c(const fs::path& root) {
  double hottest = -1.0;
  for (int zone = 0; zone < 64; ++zone) {
    const auto value =
        read_number(root / ("sys/class/thermal/thermal_zone" + std::to_string(zone)) / "temp");
    if (value) hottest = std::max(hottest, static_cast<double>(*value) / 1e3);
  }
  return hottest;
}

int64_t read_throttle_bits(const fs::path& root) {
  const auto text = read_text(throttle_file(root));
  if (!text || text->empty()) return -1;
  return std::strtoll(text->c_str(), nullptr, 16);
}

int64_t memory_field_bytes(const std::map<std::string, std::vector<std::string>>& fields,
                           const char* name) {
  const auto found = fields.find(name);
  return found == fields.end() ? 0
                               : 1024 * std::strtoll(found->second.front().c_str(), nullptr, 10);
}

}  // namespace

std::string BoardInfo::governor() const { return clusters.empty() ? "" : clusters.back().governor; }

std::string BoardInfo::fingerprint() const {
  std::ostringstream identity;
  identity << model << '\n' << soc << '\n' << isa << '\n' << kernel << '\n';
  for (const CoreCluster& cluster : clusters) {
    identity << cluster.cores.size() << ' ' << cluster.name << ' '
             << std::llround(cluster.max_hz / 1e6) << '\n';
  }
  // Kernels report a few megabytes less or more after an update of the firmware.
  identity << (memory_bytes + (int64_t{1} << 27)) / (int64_t{1} << 28);
  return sha256_hex(identity.str()).substr(0, 16);
}

BoardInfo read_board(const fs::path& root) {
  const Processor processor = read_processor(root);
  BoardInfo board;
  board.hostname = read_text(root / "proc/sys/kernel/hostname").value_or("");
  board.kernel = read_text(root / "proc/sys/kernel/osrelease").value_or("");
  board.model = read_model(root);
  board.soc = read_soc(root, processor);
  board.isa = processor.isa;
  board.virtual_machine = processor.hypervisor;
  board.emulated = !emulation_evidence(root).empty();
  board.clusters = read_clusters(root, processor);
  const auto memory = read_fields(root / "proc/meminfo");
  board.memory_bytes = memory_field_bytes(memory, "MemTotal");
  board.available_memory_bytes = memory_field_bytes(memory, "MemAvailable");
  board.temperature_c = hottest_zone_c(root);
  board.throttle_bits = read_throttle_bits(root);
  return board;
}

}  // namespace lathe::device
