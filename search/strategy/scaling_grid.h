#pragma once

#include <vector>

#include "search/space/scaling.h"

namespace lathe::search {

/// A point of the grid over depth, width and resolution.
struct GridPoint {
  ScaleFactors asked;
  ScaleFactors realised;  ///< factors_between the baseline and `architecture`
  Architecture architecture;
};

/// Returns the distinct architectures, other than the baseline, that factors from 1 to `most` in
/// each of the three dimensions make of it, in order of depth, width and resolution. Of all factors
/// that give one architecture, those nearest to what they come to stand for it.
std::vector<GridPoint> scaling_grid(const StagedSpace& space, const Architecture& baseline,
                                    double most);

/// The cost that EfficientNet's rule expects, in multiples of the baseline: depth * width^2 *
/// resolution^2 (Tan and Le, 2019).
double expected_cost(const ScaleFactors& factors);

/// Returns up to `count` points whose expected cost is at most `most_cost`, spread as far apart as
/// can be (each the farthest from those before it and the baseline, in logarithms). Increasing.
std::vector<size_t> spread_points(const std::vector<GridPoint>& grid, size_t count,
                                  double most_cost);

}  // namespace lathe::search
