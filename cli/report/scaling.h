#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::report {

/// Multipliers of a baseline's depth, width and resolution.
struct Factors {
  double depth = 1.0;
  double width = 1.0;
  double resolution = 1.0;
};

/// A network that compound scaling made of its baseline.
struct ScaledNetwork {
  std::string architecture;
  Factors asked;               ///< what the baseline's sizes were multiplied by
  Factors realised;            ///< what that came to in the space's choices
  double predicted = 0.0;      ///< cost in the budget metric's unit
  std::optional<double> cost;  ///< measured or counted; absent: not evaluated, or failed
  std::optional<double> top1;  ///< on the validation split
  std::optional<int64_t> candidate_index;  ///< in the search's candidates; absent: not evaluated
};

/// log cost = intercept + exponents . log factors, fitted to measurements.
struct ScalingFit {
  double intercept = 0.0;
  Factors exponents;
  double r_squared = 0.0;
  double residual = 0.0;  ///< standard deviation of log cost around the fit
  int64_t points = 0;
};

struct FamilyNetwork {
  int64_t phi = 0;
  ScaledNetwork network;
  std::optional<int64_t> same_as;  ///< the smaller phi that gave the same architecture
};

/// What the strategy compound_scaling found.
struct Scaling {
  std::string budget_metric;  ///< "macs" or "latency@pi4"
  double factor = 0.0;        ///< phi = 1 may cost so many times the baseline
  double budget_cost = 0.0;   ///< the same in the metric's unit
  std::string baseline;       ///< architecture
  std::optional<ScalingFit> fit;
  std::vector<ScaledNetwork> grid;  ///< evaluated at phi = 1
  std::optional<int64_t> best;      ///< index into `grid`
  std::vector<FamilyNetwork> family;
};

}  // namespace lathe::report
