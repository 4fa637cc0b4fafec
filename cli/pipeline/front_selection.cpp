#include "cli/pipeline/front_selection.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace lathe::cli {
namespace {

struct Unit {
  double x = 0.0;  ///< log latency, 0 fastest .. 1 slowest
  double y = 0.0;  ///< accuracy, 0 worst .. 1 best
};

double scaled(double value, double low, double high) {
  return high > low ? (value - low) / (high - low) : 0.0;
}

std::vector<Unit> normalised(const std::vector<FrontPoint>& points) {
  std::vector<double> logs;
  std::vector<double> accuracies;
  for (const FrontPoint& point : points) {
    logs.push_back(std::log(std::max(point.latency, 1e-12)));
    accuracies.push_back(point.accuracy);
  }
  const auto [low_x, high_x] = std::minmax_element(logs.begin(), logs.end());
  const auto [low_y, high_y] = std::minmax_element(accuracies.begin(), accuracies.end());
  std::vector<Unit> units;
  for (size_t i = 0; i < points.size(); ++i) {
    units.push_back({scaled(logs[i], *low_x, *high_x), scaled(accuracies[i], *low_y, *high_y)});
  }
  return units;
}

size_t most_accurate(const std::vector<FrontPoint>& points) {
  size_t best = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    const bool better =
        points[i].accuracy > points[best].accuracy ||
        (points[i].accuracy == points[best].accuracy && points[i].latency < points[best].latency);
    if (better) best = i;
  }
  return best;
}

size_t fastest(const std::vector<FrontPoint>& points) {
  size_t best = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    const bool better =
        points[i].latency < points[best].latency ||
        (points[i].latency == points[best].latency && points[i].accuracy > points[best].accuracy);
    if (better) best = i;
  }
  return best;
}

double distance(const Unit& a, const Unit& b) { return std::hypot(a.x - b.x, a.y - b.y); }

}  // namespace

std::vector<size_t> select_spread(const std::vector<FrontPoint>& points, size_t count) {
  if (points.empty() || count == 0) return {};
  const std::vector<Unit> units = normalised(points);
  std::vector<size_t> chosen = {most_accurate(points)};
  const size_t quick = fastest(points);
  if (count > 1 && quick != chosen[0]) chosen.push_back(quick);
  const size_t bend = knee(points);
  if (count > 2 && std::find(chosen.begin(), chosen.end(), bend) == chosen.end())
    chosen.push_back(bend);
  while (chosen.size() < std::min(count, points.size())) {
    size_t next = 0;
    double farthest = -1.0;
    for (size_t i = 0; i < points.size(); ++i) {
      if (std::find(chosen.begin(), chosen.end(), i) != chosen.end()) continue;
      double nearest = std::numeric_limits<double>::infinity();
      for (const size_t j : chosen) nearest = std::min(nearest, distance(units[i], units[j]));
      if (nearest > farthest) {
        farthest = nearest;
        next = i;
      }
    }
    chosen.push_back(next);
  }
  std::stable_sort(chosen.begin(), chosen.end(), [&](size_t a, size_t b) {
    return points[a].accuracy != points[b].accuracy ? points[a].accuracy > points[b].accuracy
                                                    : a < b;
  });
  return chosen;
}

size_t knee(const std::vector<FrontPoint>& points) {
  if (points.empty()) throw InvariantError("knee: the front is empty");
  const size_t top = most_accurate(points);
  if (points.size() < 3) return top;
  const std::vector<Unit> units = normalised(points);
  const Unit a = units[fastest(points)];
  const Unit b = units[top];
  size_t best = top;
  double highest = 0.0;
  for (size_t i = 0; i < points.size(); ++i) {
    // Twice the signed area of the triangle a, b, point: proportional to the height above the
    // chord.
    const double height = (b.x - a.x) * (units[i].y - a.y) - (b.y - a.y) * (units[i].x - a.x);
    if (height > highest) {
      highest = height;
      best = i;
    }
  }
  return best;
}

std::vector<std::vector<std::string>> roles(const std::vector<FrontPoint>& points) {
  std::vector<std::vector<std::string>> names(points.size());
  if (points.empty()) return names;
  names[most_accurate(points)].emplace_back("most accurate");
  names[fastest(points)].emplace_back("fastest");
  if (points.size() > 2) names[knee(points)].emplace_back("knee");
  return names;
}

}  // namespace lathe::cli
