#include "cli/report/run_summary.h"

#include <algorithm>

namespace lathe::report {

double total_seconds(const RunSummary& summary) {
  double total = 0.0;
  for (const Stage& stage : summary.stages) total += stage.seconds;
  return total;
}

int64_t peak_memory_bytes(const RunSummary& summary) {
  int64_t peak = 0;
  for (const Stage& stage : summary.stages) peak = std::max(peak, stage.peak_memory_bytes);
  return peak;
}

const FrontLatency* latency_on(const FrontNetwork& network, const std::string& device) {
  for (const FrontLatency& latency : network.latencies) {
    if (latency.device == device) return &latency;
  }
  return nullptr;
}

const Latency* best_latency(const FrontNetwork& network, const std::string& device) {
  const FrontLatency* latency = latency_on(network, device);
  if (latency == nullptr) return nullptr;
  if (latency->confirmed) return &*latency->confirmed;
  return latency->searched ? &*latency->searched : nullptr;
}

bool is_continued(const RunSummary& summary, size_t index) {
  return index + 1 < summary.front.size() &&
         summary.front[index + 1].id == summary.front[index].id + "-int8";
}

std::vector<std::string> device_names(const RunSummary& summary) {
  std::vector<std::string> names;
  const auto add = [&names](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const Device& device : summary.devices) add(device.name);
  for (const FrontNetwork& network : summary.front) {
    for (const FrontLatency& latency : network.latencies) add(latency.device);
  }
  return names;
}

}  // namespace lathe::report
