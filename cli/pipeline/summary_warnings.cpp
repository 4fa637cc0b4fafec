#include "cli/pipeline/summary_warnings.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "core/text.h"

namespace lathe::cli {
namespace {

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100.0 * share);
  return text;
}

/// What a verdict means and what to do about it. `widest`: half an interval, relative to its
/// median.
std::string explained(const std::string& verdict, double widest) {
  if (verdict == "unsteady") {
    return "intervals of up to ±" + percent(widest) +
           ", wider than was asked for: the machine's speed changes by itself, or the budget was "
           "too "
           "short; compare networks by their intervals";
  }
  if (verdict == "disturbed") return "other programs ran on the measuring core; leave it alone";
  if (verdict == "throttled")
    return "the board lowers its clock; it needs cooling or a better supply";
  if (verdict == "invalid_timing")
    return "the board is emulated: its times say nothing about a real one";
  return "";
}

/// A line for each device on which int8 does not pay.
void add_slow_int8(const report::RunSummary& summary, std::vector<std::string>& warnings) {
  for (const report::Device& device : summary.devices) {
    int64_t slower = 0;
    int64_t all = 0;
    for (size_t i = 0; i < summary.front.size(); ++i) {
      if (!report::is_continued(summary, i)) continue;
      const report::Latency* fp32 = report::best_latency(summary.front[i], device.name);
      const report::Latency* int8 = report::best_latency(summary.front[i + 1], device.name);
      if (fp32 == nullptr || int8 == nullptr) continue;
      ++all;
      if (int8->median_ms >= fp32->median_ms) ++slower;
    }
    if (slower == 0) continue;
    warnings.push_back("int8 is not faster than fp32 on " + device.name + " for " +
                       std::to_string(slower) + " of " + std::to_string(all) +
                       " networks: " + device.engine + " " + device.engine_version +
                       " multiplies bytes no faster than floats on this processor, or the "
                       "networks are too small to pay for the rounding; a board with dot-product "
                       "instructions may differ");
  }
}

/// A line for each device under whose name the search measured another board than is there now.
void add_other_boards(const report::RunSummary& summary, std::vector<std::string>& warnings) {
  for (const report::Device& device : summary.devices) {
    if (!device.conditions || device.conditions->device_fingerprint.empty()) continue;
    const auto is_it = [&](const report::Agent& agent) {
      return agent.fingerprint == device.conditions->device_fingerprint;
    };
    if (device.agents.empty() || std::any_of(device.agents.begin(), device.agents.end(), is_it))
      continue;
    warnings.push_back("the search measured another board (or another kernel on it) than " +
                       device.name + " is now (" + device.agents.front().model +
                       "): only confirmed latencies are of this one; a run of another name "
                       "searches for it");
  }
}

/// A line for each device and verdict but clean.
void add_unclean(const report::RunSummary& summary, std::vector<std::string>& warnings) {
  struct Networks {
    std::vector<std::string> ids;
    double widest = 0.0;
  };
  for (const report::Device& device : summary.devices) {
    std::map<std::string, Networks> by_verdict;
    size_t confirmed = 0;
    for (const report::FrontNetwork& network : summary.front) {
      for (const report::FrontLatency& latency : network.latencies) {
        if (latency.device != device.name || !latency.confirmed) continue;
        ++confirmed;
        const report::Latency& found = *latency.confirmed;
        if (found.verdict == "clean") continue;
        Networks& networks = by_verdict[found.verdict];
        networks.ids.push_back(network.id);
        networks.widest =
            std::max(networks.widest, (found.high_ms - found.low_ms) / (2.0 * found.median_ms));
      }
    }
    for (const auto& [verdict, networks] : by_verdict) {
      const std::string which =
          networks.ids.size() == confirmed && confirmed > 1
              ? "all " + std::to_string(confirmed) + " confirmed latencies are "
              : "the confirmed " + std::string(networks.ids.size() == 1 ? "latency" : "latencies") +
                    " of " + join(networks.ids, ", ") +
                    (networks.ids.size() == 1 ? " is " : " are ");
      const std::string why = explained(verdict, networks.widest);
      warnings.push_back("on " + device.name + " " + which + verdict +
                         (why.empty() ? "" : ": " + why));
    }
  }
}

}  // namespace

std::vector<std::string> summary_warnings(const report::RunSummary& summary) {
  std::vector<std::string> warnings;
  add_slow_int8(summary, warnings);
  for (const report::FrontNetwork& network : summary.front) {
    if (network.feasible) continue;
    warnings.push_back(network.id +
                       " breaks a constraint when measured again: it is marked and no winner");
  }
  add_other_boards(summary, warnings);
  add_unclean(summary, warnings);
  return warnings;
}

}  // namespace lathe::cli
