#include "search/evaluation/metric.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "core/config.h"
#include "core/progress.h"

namespace lathe::search {
namespace {

constexpr std::array<std::pair<MetricKind, const char*>, 7> kNames = {{
    {MetricKind::Accuracy, "accuracy"},
    {MetricKind::Latency, "latency"},
    {MetricKind::Macs, "macs"},
    {MetricKind::Params, "params"},
    {MetricKind::PeakMemory, "peak_memory"},
    {MetricKind::ModelSize, "model_size"},
    {MetricKind::Energy, "energy"},
}};

constexpr const char* kMetricNames =
    "one of accuracy, macs, params, peak_memory, model_size, latency@DEVICE, energy@DEVICE";

const char* kind_name(MetricKind kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  throw InvariantError("MetricKind = " + std::to_string(static_cast<int>(kind)) +
                       ", expected a known kind");
}

std::string trim(const std::string& text) {
  const char* blank = " \t\r\n";
  const size_t begin = text.find_first_not_of(blank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

/// Reads a whole decimal number followed by `suffix` (blanks between are allowed).
std::optional<double> number_with_suffix(const std::string& text, const std::string& suffix) {
  if (text.size() < suffix.size() ||
      text.compare(text.size() - suffix.size(), suffix.size(), suffix) != 0) {
    return std::nullopt;
  }
  const std::string digits = trim(text.substr(0, text.size() - suffix.size()));
  if (digits.empty() || digits.find_first_not_of("0123456789.eE+-") != std::string::npos) {
    return std::nullopt;
  }
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (end != digits.c_str() + digits.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<double> accuracy_value(const std::string& text) {
  std::optional<double> value = number_with_suffix(text, "%");
  if (value) {
    *value /= 100.0;
  } else {
    value = number_with_suffix(text, "");
  }
  if (value && (*value < 0.0 || *value > 1.0)) return std::nullopt;
  return value;
}

std::optional<double> energy_value(const std::string& text) {
  static constexpr std::array<std::pair<const char*, double>, 3> kUnits = {
      {{"mJ", 1.0}, {"uJ", 1e-3}, {"J", 1e3}}};
  for (const auto& [unit, factor] : kUnits) {
    if (const auto value = number_with_suffix(text, unit)) return *value * factor;
  }
  return std::nullopt;
}

template <typename T>
std::optional<double> scaled(const std::optional<T>& value, double factor) {
  if (!value) return std::nullopt;
  return static_cast<double>(*value) * factor;
}

std::optional<double> value_of(MetricKind kind, const std::string& text) {
  switch (kind) {
    case MetricKind::Accuracy:
      return accuracy_value(text);
    case MetricKind::Latency:
      return scaled(parse_duration_s(text), 1e3);
    case MetricKind::Energy:
      return energy_value(text);
    case MetricKind::Macs:
    case MetricKind::Params:
      return scaled(parse_count(text), 1.0);
    case MetricKind::PeakMemory:
    case MetricKind::ModelSize:
      return scaled(parse_size_bytes(text), 1.0);
  }
  return std::nullopt;
}

const char* how_written(MetricKind kind) {
  switch (kind) {
    case MetricKind::Accuracy:
      return "a fraction in [0, 1] such as 0.9, or 90%";
    case MetricKind::Latency:
      return "a duration such as 20ms or 1.5s";
    case MetricKind::Energy:
      return "an energy such as 50mJ or 1.5J";
    case MetricKind::Macs:
    case MetricKind::Params:
      return "a count such as 300, 2k or 1.5M";
    case MetricKind::PeakMemory:
    case MetricKind::ModelSize:
      return "a size such as 500KB, 32MB or 1GiB";
  }
  return "a value";
}

std::string printed(const char* format, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, value);
  return buffer.data();
}

/// The bound with its unit, such that parse_metric_value reads the same value back.
std::string exact_value(MetricKind kind, double value) {
  switch (kind) {
    case MetricKind::Latency:
      return printed("%.15gms", value);
    case MetricKind::Energy:
      return printed("%.15gmJ", value);
    case MetricKind::PeakMemory:
    case MetricKind::ModelSize:
      return printed("%.15gB", value);
    default:
      return printed("%.15g", value);
  }
}

}  // namespace

std::string to_string(const Metric& metric) {
  std::string name = kind_name(metric.kind);
  if (is_measured(metric.kind)) name += "@" + metric.device;
  return name;
}

Metric parse_metric(const std::string& text) {
  const std::string whole = trim(text);
  const size_t at = whole.find('@');
  const std::string name = whole.substr(0, at);
  for (const auto& [kind, known] : kNames) {
    if (name != known) continue;
    const std::string device = at == std::string::npos ? "" : whole.substr(at + 1);
    if (is_measured(kind) && device.empty()) {
      throw ConfigError("metric = " + whole + ", expected " + name +
                        "@DEVICE with the name of a device");
    }
    if (!is_measured(kind) && at != std::string::npos) {
      throw ConfigError("metric = " + whole + ", expected " + name + " without a device");
    }
    if (device.find_first_of(" \t@<>=") != std::string::npos) {
      throw ConfigError("metric = " + whole +
                        ", expected a device name without blanks and the signs @ < > =");
    }
    return {kind, device};
  }
  throw ConfigError("metric = " + whole + ", expected " + kMetricNames);
}

bool larger_is_better(MetricKind kind) { return kind == MetricKind::Accuracy; }

bool is_measured(MetricKind kind) {
  return kind == MetricKind::Latency || kind == MetricKind::Energy;
}

std::string speed_device(const std::vector<Metric>& objectives) {
  for (const MetricKind kind : {MetricKind::Latency, MetricKind::Energy}) {
    for (const Metric& metric : objectives) {
      if (metric.kind == kind) return metric.device;
    }
  }
  return "";
}

bool is_counted(MetricKind kind) {
  return kind == MetricKind::Macs || kind == MetricKind::Params || kind == MetricKind::PeakMemory ||
         kind == MetricKind::ModelSize;
}

std::string format_metric(const Metric& metric, double value) {
  switch (metric.kind) {
    case MetricKind::Accuracy:
      return printed("%.3f", value);
    case MetricKind::Latency:
      return printed(value < 1.0 ? "%.3f ms" : value < 10.0 ? "%.2f ms" : "%.1f ms", value);
    case MetricKind::Energy:
      return printed("%.2f mJ", value);
    case MetricKind::Macs:
    case MetricKind::Params:
      return format_count(value);
    case MetricKind::PeakMemory:
    case MetricKind::ModelSize:
      return format_bytes(value);
  }
  throw InvariantError("format_metric: unknown kind");
}

double parse_metric_value(const Metric& metric, const std::string& text) {
  const std::string trimmed = trim(text);
  const std::optional<double> value = value_of(metric.kind, trimmed);
  if (!value) {
    throw ConfigError(to_string(metric) + " = " + trimmed + ", expected " +
                      how_written(metric.kind));
  }
  return *value;
}

double Constraint::violation(double value) const {
  if (std::isnan(value)) {
    throw InvariantError("constraint " + to_string(*this) + ": value = nan, expected a number");
  }
  if (satisfied(value)) return 0.0;
  const double scale = bound == 0.0 ? 1.0 : std::abs(bound);
  return std::abs(value - bound) / scale;
}

std::string to_string(const Constraint& constraint) {
  return to_string(constraint.metric) + (constraint.at_most ? " <= " : " >= ") +
         exact_value(constraint.metric.kind, constraint.bound);
}

Constraint parse_constraint(const std::string& text) {
  const std::string expected =
      ", expected METRIC <= VALUE or METRIC >= VALUE, such as latency@pi4 <= 20ms";
  const size_t sign = text.find_first_of("<>=");
  if (sign == std::string::npos) throw ConfigError("constraint = " + trim(text) + expected);
  const std::string comparison = text.substr(sign, 2);
  if (comparison != "<=" && comparison != ">=") {
    throw ConfigError("constraint = " + trim(text) + expected);
  }
  Constraint constraint;
  constraint.metric = parse_metric(text.substr(0, sign));
  constraint.at_most = comparison == "<=";
  constraint.bound = parse_metric_value(constraint.metric, text.substr(sign + 2));
  return constraint;
}

}  // namespace lathe::search
