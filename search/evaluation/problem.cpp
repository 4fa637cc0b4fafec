#include "search/evaluation/problem.h"

#include <cmath>
#include <set>

namespace lathe::search {
namespace {

const MetricValue& find(const Metrics& metrics, const Metric& metric) {
  const auto it = metrics.find(metric);
  if (it == metrics.end()) {
    throw InvariantError("problem: " + to_string(metric) + " is missing, expected a value");
  }
  const MetricValue& v = it->second;
  if (std::isnan(v.value) || std::isnan(v.low) || std::isnan(v.high)) {
    throw InvariantError("problem: " + to_string(metric) + " = nan, expected a number");
  }
  return v;
}

double violation_of(const Constraint& constraint, const Metrics& metrics) {
  const MetricValue& value = find(metrics, constraint.metric);
  return constraint.violation(constraint.at_most ? value.high : value.low);
}

}  // namespace

double to_minimised(const Metric& metric, double value) {
  return larger_is_better(metric.kind) ? 1.0 - value : value;
}

double from_minimised(const Metric& metric, double value) { return to_minimised(metric, value); }

Objectives Problem::minimised(const Metrics& metrics) const {
  Objectives values;
  values.reserve(objectives.size());
  for (const Metric& metric : objectives) {
    values.push_back(to_minimised(metric, find(metrics, metric).value));
  }
  return values;
}

double Problem::violation(const Metrics& metrics) const {
  double sum = 0.0;
  for (const Constraint& constraint : constraints) sum += violation_of(constraint, metrics);
  return sum;
}

double Problem::counted_violation(const Metrics& counted) const {
  double sum = 0.0;
  for (const Constraint& constraint : constraints) {
    if (is_counted(constraint.metric.kind)) sum += violation_of(constraint, counted);
  }
  return sum;
}

std::vector<Metric> Problem::metrics() const {
  std::set<Metric> all(objectives.begin(), objectives.end());
  for (const Constraint& constraint : constraints) all.insert(constraint.metric);
  return {all.begin(), all.end()};
}

}  // namespace lathe::search
