#include "search/strategy/scaling_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

namespace lathe::search {
namespace {

constexpr int kStepsAUnit = 100;  // factors are tried in steps of 0.01

/// One factor for each architecture that scaling in one dimension alone can give; the first is 1.
std::vector<double> distinct_factors(const StagedSpace& space, const Architecture& baseline,
                                     double ScaleFactors::*dimension, double most) {
  struct Range {
    Architecture architecture;
    double low, high;
  };
  std::vector<Range> ranges;
  for (int step = 0; 1.0 + static_cast<double>(step) / kStepsAUnit <= most; ++step) {
    ScaleFactors factors;
    factors.*dimension = 1.0 + static_cast<double>(step) / kStepsAUnit;
    const Architecture scaled = scale_within(space, baseline, factors);
    if (ranges.empty() || ranges.back().architecture != scaled) {
      ranges.push_back({scaled, factors.*dimension, factors.*dimension});
    }
    ranges.back().high = factors.*dimension;
  }
  std::vector<double> chosen;
  for (const Range& range : ranges) {
    const double realised = factors_between(space, baseline, range.architecture).*dimension;
    chosen.push_back(std::clamp(realised, range.low, range.high));
  }
  return chosen;
}

using Position = std::array<double, 3>;

/// In these coordinates an equal step means an equal expected cost.
Position position(const ScaleFactors& factors) {
  return {std::log(factors.depth), 2.0 * std::log(factors.width),
          2.0 * std::log(factors.resolution)};
}

double squared_distance(const Position& a, const Position& b) {
  double sum = 0.0;
  for (size_t k = 0; k < a.size(); ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return sum;
}

}  // namespace

std::vector<GridPoint> scaling_grid(const StagedSpace& space, const Architecture& baseline,
                                    double most) {
  const Architecture base = space.canonical(baseline);
  std::unordered_set<Architecture, ArchitectureHash> seen = {base};
  std::vector<GridPoint> grid;
  const auto widths = distinct_factors(space, base, &ScaleFactors::width, most);
  const auto resolutions = distinct_factors(space, base, &ScaleFactors::resolution, most);
  for (const double depth : distinct_factors(space, base, &ScaleFactors::depth, most)) {
    for (const double width : widths) {
      for (const double resolution : resolutions) {
        const ScaleFactors asked = {depth, width, resolution};
        const Architecture scaled = scale_within(space, base, asked);
        if (!seen.insert(scaled).second) continue;
        grid.push_back({asked, factors_between(space, base, scaled), scaled});
      }
    }
  }
  return grid;
}

double expected_cost(const ScaleFactors& factors) {
  return factors.depth * factors.width * factors.width * factors.resolution * factors.resolution;
}

std::vector<size_t> spread_points(const std::vector<GridPoint>& grid, size_t count,
                                  double most_cost) {
  // The squared distance from the nearest chosen point, at first from the baseline.
  std::vector<double> distance;
  for (const GridPoint& point : grid) {
    const bool allowed = expected_cost(point.realised) <= most_cost;
    distance.push_back(allowed ? squared_distance(position(point.realised), {}) : 0.0);
  }
  std::vector<size_t> chosen;
  while (chosen.size() < std::min(count, grid.size())) {
    const auto farthest = std::max_element(distance.begin(), distance.end());
    if (*farthest <= 0.0) break;
    const auto index = static_cast<size_t>(farthest - distance.begin());
    chosen.push_back(index);
    const Position taken = position(grid[index].realised);
    for (size_t i = 0; i < grid.size(); ++i) {
      distance[i] = std::min(distance[i], squared_distance(position(grid[i].realised), taken));
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace lathe::search
