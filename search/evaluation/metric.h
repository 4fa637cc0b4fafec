#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/error.h"

namespace lathe::search {

enum class MetricKind { Accuracy, Latency, Macs, Params, PeakMemory, ModelSize, Energy };

/// A measurable property: "accuracy", "macs", "params", "peak_memory", "model_size",
/// "latency@DEVICE", "energy@DEVICE". Units: accuracy a fraction 0..1, latency ms, energy mJ,
/// memory and size bytes.
struct Metric {
  MetricKind kind = MetricKind::Accuracy;
  std::string device;  ///< empty for metrics that have none

  bool operator==(const Metric& o) const { return kind == o.kind && device == o.device; }
  bool operator!=(const Metric& o) const { return !(*this == o); }
  bool operator<(const Metric& o) const {
    return kind != o.kind ? kind < o.kind : device < o.device;
  }
};
std::string to_string(const Metric& metric);
/// \throws ConfigError listing the names if `text` names none.
Metric parse_metric(const std::string& text);
/// Only accuracy is better when larger.
bool larger_is_better(MetricKind kind);
/// True for metrics that are counted from the network: macs, params, peak_memory, model_size.
bool is_counted(MetricKind kind);
/// True for metrics that a device measures: latency and energy.
bool is_measured(MetricKind kind);
/// Returns the device whose latency orders networks by speed: the first latency objective's, else
/// the first energy objective's; empty where there is neither.
std::string speed_device(const std::vector<Metric>& objectives);
/// Returns `value` with its unit for people: "12.3 ms", "0.914", "3.50 M", "14.0 MB".
std::string format_metric(const Metric& metric, double value);
/// Reads a value written with the metric's unit: "20ms", "0.9" or "90%", "2M", "32MB", "5mJ".
/// \throws ConfigError saying how a value of this metric is written.
double parse_metric_value(const Metric& metric, const std::string& text);

/// A bound such as "latency@pi4 <= 20ms", "params <= 2M", "accuracy >= 0.9".
struct Constraint {
  Metric metric;
  bool at_most = true;  ///< false: at least
  double bound = 0.0;   ///< in the metric's unit

  bool satisfied(double value) const { return at_most ? value <= bound : value >= bound; }
  /// Returns 0 when satisfied, else how far `value` is outside relative to the bound (absolute for
  /// bound 0). \throws InvariantError if `value` is not a number.
  double violation(double value) const;
};
std::string to_string(const Constraint& constraint);
/// \throws ConfigError saying what is wrong and how a constraint is written.
Constraint parse_constraint(const std::string& text);

/// A value with its interval (low == value == high for counted metrics).
struct MetricValue {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};
using Metrics = std::map<Metric, MetricValue>;

}  // namespace lathe::search
