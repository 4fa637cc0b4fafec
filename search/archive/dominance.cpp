#include "search/archive/dominance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <pagmo/utils/multi_objective.hpp>
#include <string>

namespace lathe::search {
namespace {

/// The indices sorted by the points' values (lexicographically), equal points by index.
std::vector<size_t> lexicographic_order(const std::vector<Objectives>& points) {
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return points[a] < points[b]; });
  return order;
}

std::vector<size_t> non_dominated_2d(const std::vector<Objectives>& points) {
  std::vector<size_t> kept;
  const Objectives* last = nullptr;
  for (const size_t i : lexicographic_order(points)) {
    if (last == nullptr || points[i][1] < (*last)[1] || points[i] == *last) {
      kept.push_back(i);
      last = &points[i];
    }
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace

void check_points(const char* where, const std::vector<Objectives>& points, size_t objectives) {
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].size() != objectives) {
      throw InvariantError(std::string(where) + ": point " + std::to_string(i) + " has " +
                           std::to_string(points[i].size()) + " objectives, expected " +
                           std::to_string(objectives));
    }
    for (size_t k = 0; k < objectives; ++k) {
      if (!std::isfinite(points[i][k])) {
        throw InvariantError(std::string(where) + ": point " + std::to_string(i) + ", objective " +
                             std::to_string(k) + " = " + std::to_string(points[i][k]) +
                             ", expected a finite number");
      }
    }
  }
}

bool dominates(const Objectives& a, const Objectives& b) {
  if (a.size() != b.size()) {
    throw InvariantError("dominates: " + std::to_string(a.size()) + " and " +
                         std::to_string(b.size()) + " objectives, expected equal numbers");
  }
  bool better = false;
  for (size_t k = 0; k < a.size(); ++k) {
    if (a[k] > b[k]) return false;
    better = better || a[k] < b[k];
  }
  return better;
}

std::vector<size_t> non_dominated(const std::vector<Objectives>& points) {
  if (points.empty()) return {};
  check_points("non_dominated", points, points.front().size());
  if (points.front().size() == 2) return non_dominated_2d(points);
  std::vector<size_t> kept;
  // In lexicographic order only an earlier, kept point can dominate a later one.
  for (const size_t i : lexicographic_order(points)) {
    const bool dominated = std::any_of(kept.begin(), kept.end(), [&](size_t earlier) {
      return dominates(points[earlier], points[i]);
    });
    if (!dominated) kept.push_back(i);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

std::vector<std::vector<size_t>> non_dominated_fronts(const std::vector<Objectives>& points) {
  if (points.empty()) return {};
  check_points("non_dominated_fronts", points, points.front().size());
  if (points.size() == 1) return {{0}};
  if (points.front().size() == 1) {  // pagmo takes two objectives or more
    std::vector<std::vector<size_t>> fronts;
    const Objectives* last = nullptr;
    for (const size_t i : lexicographic_order(points)) {
      if (last == nullptr || points[i] != *last) fronts.emplace_back();
      fronts.back().push_back(i);
      last = &points[i];
    }
    return fronts;
  }
  std::vector<std::vector<size_t>> fronts;
  const auto sorted = pagmo::fast_non_dominated_sorting(points);
  for (const auto& front : std::get<0>(sorted)) {
    fronts.emplace_back(front.begin(), front.end());
    std::sort(fronts.back().begin(), fronts.back().end());
  }
  return fronts;
}

std::vector<double> crowding_distances(const std::vector<Objectives>& front) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (front.empty()) return {};
  const size_t objectives = front.front().size();
  check_points("crowding_distances", front, objectives);
  std::vector<double> distance(front.size(), 0.0);
  std::vector<size_t> order(front.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t k = 0; k < objectives; ++k) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return front[a][k] < front[b][k]; });
    const double low = front[order.front()][k];
    const double range = front[order.back()][k] - low;
    if (range <= 0.0) continue;
    distance[order.front()] = distance[order.back()] = kInfinity;
    for (size_t i = 1; i + 1 < order.size(); ++i) {
      distance[order[i]] += (front[order[i + 1]][k] - front[order[i - 1]][k]) / range;
    }
  }
  return distance;
}

}  // namespace lathe::search
