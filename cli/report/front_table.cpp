#include "cli/report/front_table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "cli/report/text.h"
#include "cli/text_table.h"
#include "core/progress.h"

namespace lathe::report {
namespace {

constexpr size_t kColumns = 100;

/// "12.34 ±0.6 %": the percentage is the longer half of the interval.
std::string with_percent(double value, double low, double high) {
  const double half = std::max(high - value, value - low);
  std::array<char, 32> percent{};
  std::snprintf(percent.data(), percent.size(), " ±%.1f %%",
                value > 0 ? std::min(100.0 * half / value, 999.0) : 0.0);
  return milliseconds(value) + percent.data();
}

/// "12.34 ±0.6 %", then '~' after a searched value and, in a table with such values, as many blanks
/// after a confirmed one; "-" where nothing was measured.
std::string latency_cell(const FrontNetwork& network, const std::string& device, bool marked) {
  const Latency* latency = best_latency(network, device);
  if (latency == nullptr) return "-";
  const FrontLatency* both = latency_on(network, device);
  return with_percent(latency->median_ms, latency->low_ms, latency->high_ms) + (!marked ? ""
                                                                                : both->confirmed
                                                                                    ? "  "
                                                                                    : " ~");
}

/// "5.42 ±0.6 %"; "-" where no energy was measured.
std::string energy_cell(const FrontNetwork& network, const std::string& device) {
  const Latency* latency = best_latency(network, device);
  if (latency == nullptr || !latency->energy) return "-";
  const Energy& energy = *latency->energy;
  return with_percent(energy.mean_mj, energy.low_mj, energy.high_mj);
}

bool any_energy(const RunSummary& summary, const std::string& device) {
  return std::any_of(summary.front.begin(), summary.front.end(), [&](const FrontNetwork& network) {
    const Latency* latency = best_latency(network, device);
    return latency != nullptr && latency->energy;
  });
}

std::string role_cell(const FrontNetwork& network) {
  std::string text = network.feasible ? "" : "infeasible";
  if (network.feasible && network.dominated_by) text = "behind " + *network.dominated_by;
  for (const std::string& role : network.roles) text += (text.empty() ? "" : ", ") + role;
  return one_line(text);
}

std::string test_cell(const FrontNetwork& network) {
  if (!network.test) return "-";
  return fraction(network.test->top1) + " ±" + fraction(network.test->standard_error);
}

int64_t weights_bytes(const FrontNetwork& network) {
  for (const ExportedFile& file : network.files) {
    if (file.format == "onnx") return file.size_bytes;
  }
  return network.model_size_bytes;
}

bool any_searched_only(const RunSummary& summary) {
  for (const FrontNetwork& network : summary.front) {
    for (const FrontLatency& latency : network.latencies) {
      if (latency.searched && !latency.confirmed) return true;
    }
  }
  return false;
}

/// The user's own networks among the baselines: those whose accuracy is known.
std::vector<const Baseline*> own_networks(const RunSummary& summary) {
  std::vector<const Baseline*> own;
  for (const Baseline& baseline : summary.baselines) {
    if (baseline.accuracy) own.push_back(&baseline);
  }
  return own;
}

std::string latency_cell(const Baseline& baseline, const std::string& device) {
  for (const DeviceLatency& each : baseline.latencies) {
    if (each.device != device) continue;
    return with_percent(each.latency.median_ms, each.latency.low_ms, each.latency.high_ms);
  }
  return "-";
}

/// The table for one device; the counted columns stand in the first one only. A network that was
/// looked up in a table has neither test accuracy nor file.
std::string device_table(const RunSummary& summary, const std::string& device, bool first,
                         size_t role_limit, size_t device_limit) {
  std::vector<std::string> header = {"network", "role"};
  const bool looked_up = !summary.data.table.empty();
  if (first) header.push_back(looked_up ? "accuracy" : "val");
  if (first && !looked_up) header.push_back("test");
  header.push_back("ms @ " + shorten(one_line(device), device_limit));
  const bool energy = any_energy(summary, device);
  if (energy) header.push_back("mJ");
  if (first) header.insert(header.end(), {"MACs", "params"});
  if (first && !looked_up) header.push_back("size");
  cli::TextTable table(header);
  for (const FrontNetwork& network : summary.front) {
    std::vector<std::string> cells = {shorten(one_line(network.id), 12),
                                      shorten(role_cell(network), role_limit)};
    if (first) cells.push_back(fraction(network.validation.top1));
    if (first && !looked_up) cells.push_back(test_cell(network));
    cells.push_back(latency_cell(network, device, any_searched_only(summary)));
    if (energy) cells.push_back(energy_cell(network, device));
    if (first) {
      cells.insert(cells.end(), {format_count(static_cast<double>(network.macs)),
                                 format_count(static_cast<double>(network.params))});
    }
    if (first && !looked_up) {
      cells.push_back(format_bytes(static_cast<double>(weights_bytes(network))));
    }
    table.add(std::move(cells));
  }
  for (const Baseline* own : own_networks(summary)) {
    std::vector<std::string> cells = {shorten(one_line(own->name), 12),
                                      shorten("to compare with", role_limit)};
    if (first) {
      cells.insert(cells.end(), {"-", fraction(own->accuracy->top1) + " ±" +
                                          fraction(own->accuracy->standard_error)});
    }
    cells.push_back(latency_cell(*own, device));
    if (energy) cells.emplace_back("-");
    if (first) {
      cells.insert(cells.end(), {format_count(static_cast<double>(own->macs)),
                                 format_count(static_cast<double>(own->params)),
                                 format_bytes(static_cast<double>(own->size_bytes.value_or(0)))});
    }
    table.add(std::move(cells));
  }
  return table.text();
}

size_t widest_line(const std::string& text) {
  size_t widest = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    widest = std::max(widest, display_width(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return widest;
}

/// Shortens roles, then the device's name, until the table fits.
std::string fitted_table(const RunSummary& summary, const std::string& device, bool first) {
  for (const size_t role_limit : {size_t{32}, size_t{22}, size_t{14}, size_t{8}, size_t{4}}) {
    const std::string text = device_table(summary, device, first, role_limit, 16);
    if (widest_line(text) <= kColumns) return text;
  }
  return device_table(summary, device, first, 1, 6);
}

/// What each step of compression left, a line each; empty if there was none.
std::string steps_table(const RunSummary& summary, const std::vector<std::string>& devices) {
  std::vector<std::string> header = {"network", "step", "val"};
  for (const std::string& device : devices) {
    header.push_back("ms @ " + shorten(one_line(device), 12));
  }
  header.insert(header.end(), {"MACs", "weights", "memory"});
  cli::TextTable table(header);
  bool any = false;
  for (size_t i = 0; i < summary.front.size(); ++i) {
    const FrontNetwork& network = summary.front[i];
    if (!network.steps || is_continued(summary, i)) continue;
    any = true;
    for (const NetworkStep& step : *network.steps) {
      std::vector<std::string> cells = {
          &step == &network.steps->front() ? shorten(one_line(network.id), 12) : "",
          shorten(one_line(step.name), 18), fraction(step.validation.top1)};
      for (const std::string& device : devices) {
        const auto found =
            std::find_if(step.latencies.begin(), step.latencies.end(),
                         [&](const DeviceLatency& each) { return each.device == device; });
        cells.push_back(found == step.latencies.end() ? "-"
                                                      : milliseconds(found->latency.median_ms));
      }
      cells.insert(cells.end(), {format_count(static_cast<double>(step.macs)),
                                 format_bytes(static_cast<double>(step.weight_bytes)),
                                 format_bytes(static_cast<double>(step.peak_memory_bytes))});
      table.add(std::move(cells));
    }
  }
  return any ? table.text() : "";
}

/// With the first device alone where all of them do not fit.
std::string fitted_steps_table(const RunSummary& summary) {
  std::vector<std::string> devices = device_names(summary);
  std::string text = steps_table(summary, devices);
  if (widest_line(text) > kColumns) {
    devices.resize(1);
    text = steps_table(summary, devices);
  }
  return text.empty() ? "" : "\n" + text;
}

}  // namespace

std::string front_table(const RunSummary& summary) {
  if (summary.front.empty()) {
    return "no network satisfies the constraints: " +
           std::to_string(summary.search.candidates.size()) + " candidates were evaluated\n";
  }
  std::vector<std::string> devices = device_names(summary);
  if (devices.empty()) devices.push_back("no device");
  std::string text;
  for (size_t d = 0; d < devices.size(); ++d) {
    text += (d == 0 ? "" : "\n") + fitted_table(summary, devices[d], d == 0);
  }
  text += "ms: median latency at batch 1 ± confidence interval";
  if (std::any_of(devices.begin(), devices.end(),
                  [&](const std::string& device) { return any_energy(summary, device); })) {
    text += ", mJ: energy of one inference";
  }
  if (any_searched_only(summary)) text += ", ~ as searched, not confirmed";
  if (std::any_of(summary.front.begin(), summary.front.end(),
                  [](const FrontNetwork& network) { return network.dominated_by.has_value(); })) {
    text += "\nbehind: another one is as good in every objective and better in one";
  }
  return text + "\n" + fitted_steps_table(summary);
}

}  // namespace lathe::report
