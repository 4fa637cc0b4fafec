#include "cli/pipeline/pick_rule.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "search/evaluation/metric.h"

namespace lathe::cli {
namespace {

using report::FrontNetwork;

/// Validation, never test: a choice by test accuracy would make that accuracy look better than it
/// is.
double accuracy_of(const FrontNetwork& network) { return network.validation.top1; }

/// Orders by speed: latency, or MACs when nothing was measured.
double cost_of(const report::RunSummary& summary, const FrontNetwork& network) {
  const report::Latency* latency = report::best_latency(network, speed_device(summary));
  return latency != nullptr ? latency->median_ms : static_cast<double>(network.macs);
}

size_t most_accurate(const report::RunSummary& summary, const std::vector<size_t>& among) {
  return *std::max_element(among.begin(), among.end(), [&](size_t a, size_t b) {
    return accuracy_of(summary.front[a]) < accuracy_of(summary.front[b]);
  });
}

size_t fastest(const report::RunSummary& summary, const std::vector<size_t>& among) {
  return *std::min_element(among.begin(), among.end(), [&](size_t a, size_t b) {
    return cost_of(summary, summary.front[a]) < cost_of(summary, summary.front[b]);
  });
}

/// The value that a bound is held against: the upper end of a latency's or energy's interval, and
/// the accuracy itself, as people read it in the table.
std::optional<double> value_of(const FrontNetwork& network, const search::Metric& metric) {
  switch (metric.kind) {
    case search::MetricKind::Accuracy:
      return accuracy_of(network);
    case search::MetricKind::Macs:
      return static_cast<double>(network.macs);
    case search::MetricKind::Params:
      return static_cast<double>(network.params);
    case search::MetricKind::PeakMemory:
      return static_cast<double>(network.peak_memory_bytes);
    case search::MetricKind::ModelSize:
      return static_cast<double>(network.model_size_bytes);
    case search::MetricKind::Latency: {
      const report::Latency* latency = report::best_latency(network, metric.device);
      if (latency == nullptr) return std::nullopt;
      return latency->high_ms;
    }
    case search::MetricKind::Energy: {
      const report::Latency* latency = report::best_latency(network, metric.device);
      if (latency == nullptr || !latency->energy) return std::nullopt;
      return latency->energy->high_mj;
    }
  }
  return std::nullopt;
}

std::vector<size_t> pick_by_bound(const report::RunSummary& summary, const std::string& rule,
                                  const std::vector<size_t>& among) {
  const search::Constraint constraint = search::parse_constraint(rule);
  std::vector<size_t> within;
  std::optional<double> nearest;
  for (const size_t i : among) {
    const std::optional<double> value = value_of(summary.front[i], constraint.metric);
    if (!value) {
      throw ConfigError("--pick " + rule + ": the run has no value of " +
                        search::to_string(constraint.metric));
    }
    if (constraint.satisfied(*value)) within.push_back(i);
    if (!nearest || constraint.violation(*value) < constraint.violation(*nearest)) nearest = value;
  }
  if (within.empty()) {
    throw ConfigError("--pick " + rule + ": no exported network satisfies it; the nearest has " +
                      search::format_metric(constraint.metric, *nearest));
  }
  return {constraint.at_most ? most_accurate(summary, within) : fastest(summary, within)};
}

/// The knee; a front of fewer than three networks has none, and its most accurate stands for it.
size_t knee_of(const report::RunSummary& summary, const std::vector<size_t>& among) {
  for (const size_t i : among) {
    const auto& roles = summary.front[i].roles;
    if (std::find(roles.begin(), roles.end(), "knee") != roles.end()) return i;
  }
  return most_accurate(summary, among);
}

std::vector<size_t> all_of(const report::RunSummary& summary) {
  std::vector<size_t> all(summary.front.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

/// Networks that hold every constraint as confirmed; all if none does.
std::vector<size_t> feasible_of(const report::RunSummary& summary) {
  std::vector<size_t> feasible;
  for (const size_t i : all_of(summary)) {
    if (summary.front[i].feasible) feasible.push_back(i);
  }
  return feasible.empty() ? all_of(summary) : feasible;
}

/// Of those, the ones that are not behind another; all if none is.
std::vector<size_t> winners_of(const report::RunSummary& summary) {
  std::vector<size_t> winners;
  for (const size_t i : feasible_of(summary)) {
    if (!summary.front[i].dominated_by) winners.push_back(i);
  }
  return winners.empty() ? feasible_of(summary) : winners;
}

}  // namespace

std::string speed_device(const report::RunSummary& summary) {
  std::vector<search::Metric> objectives;
  for (const std::string& objective : summary.search.objectives) {
    objectives.push_back(search::parse_metric(objective));
  }
  const std::string device = search::speed_device(objectives);
  if (!device.empty()) return device;
  const std::vector<std::string> devices = report::device_names(summary);
  return devices.empty() ? "" : devices.front();
}

std::vector<size_t> pick_networks(const report::RunSummary& summary, const std::string& rule) {
  if (summary.front.empty()) throw DataError("run " + summary.name + ": no network was exported");
  if (rule == "all") return all_of(summary);
  if (rule == "best") return {most_accurate(summary, winners_of(summary))};
  if (rule == "fastest") return {fastest(summary, winners_of(summary))};
  if (rule == "knee") return {knee_of(summary, winners_of(summary))};
  for (const size_t i : all_of(summary)) {
    if (summary.front[i].id == rule) return {i};
  }
  if (rule.find_first_of("<>=") == std::string::npos) {
    throw ConfigError(
        "--pick " + rule +
        ": expected best, fastest, knee, all, an id such as net-01, or a bound such as "
        "latency@pi4<=20ms");
  }
  return pick_by_bound(summary, rule, feasible_of(summary));
}

}  // namespace lathe::cli
