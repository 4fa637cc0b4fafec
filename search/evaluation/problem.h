#pragma once

#include <vector>

#include "search/evaluation/metric.h"

namespace lathe::search {

/// One value an objective, all minimised (accuracy appears as the error 1 - top1).
using Objectives = std::vector<double>;

/// What is searched for: the objectives and the constraints. Value type; concurrent reads are safe.
struct Problem {
  std::vector<Metric> objectives;
  std::vector<Constraint> constraints;

  /// Returns the objectives' values, minimised, in order.
  /// \throws InvariantError naming a metric that is missing or not a number.
  Objectives minimised(const Metrics& metrics) const;

  /// Returns the sum of the constraints' violations, each relative to its bound; 0 means feasible.
  /// An upper bound is tested on the interval's high end, a lower bound on its low end, so that a
  /// value that only looks feasible by luck is not. \throws InvariantError naming a metric that is
  /// missing or not a number.
  double violation(const Metrics& metrics) const;

  /// The same over the constraints on counted metrics alone, which are known before any evaluation.
  double counted_violation(const Metrics& counted) const;

  /// Every metric that an objective or constraint names, once each, in order.
  std::vector<Metric> metrics() const;
};

/// Returns an objective's value as minimised: accuracy a becomes 1 - a.
double to_minimised(const Metric& metric, double value);
/// The inverse of to_minimised.
double from_minimised(const Metric& metric, double value);

}  // namespace lathe::search
