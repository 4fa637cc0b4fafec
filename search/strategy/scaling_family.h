#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "latency/models/power_law.h"
#include "search/evaluation/metric.h"
#include "search/space/scaling.h"

namespace lathe::search {

/// An architecture that compound scaling made from its baseline, and what became of it.
struct ScaledCandidate {
  ScaleFactors asked;     ///< what the baseline's sizes were multiplied by
  ScaleFactors realised;  ///< what that came to: the space has few choices
  Architecture architecture;
  double predicted = 0.0;          ///< cost in the budget metric's unit
  std::optional<int64_t> index;    ///< of its evaluation; nothing: not evaluated
  std::optional<double> cost;      ///< as measured or counted; nothing: it failed
  std::optional<double> accuracy;  ///< top-1
};

/// One network of the family.
struct FamilyMember {
  int64_t phi = 0;
  ScaledCandidate candidate;
  std::optional<int64_t> same_as;  ///< the smaller phi that gave the same architecture
};

/// What compound scaling found. Value type.
struct ScalingFamily {
  Metric budget;             ///< macs or a latency
  double factor = 2.0;       ///< what phi = 1 may cost, in multiples of the baseline
  double budget_cost = 0.0;  ///< the same in the metric's unit
  Architecture baseline;
  /// The fit of the latency to depth, width and resolution, in this order; nothing for macs, whose
  /// cost is taken as depth * width^2 * resolution^2.
  std::optional<models::PowerLaw> law;
  std::vector<ScaledCandidate> grid;  ///< what was evaluated at phi = 1
  std::optional<size_t> best;         ///< in `grid`: the most accurate within the budget
  std::vector<FamilyMember> members;  ///< phi = 0, 1, ...; empty without `best`
};

}  // namespace lathe::search
