#include "search/archive/hypervolume.h"

#include <algorithm>
#include <pagmo/utils/hypervolume.hpp>
#include <string>

#include "search/archive/dominance.h"

namespace lathe::search {
namespace {

double sweep_2d(std::vector<Objectives> points, const Objectives& reference) {
  std::sort(points.begin(), points.end());
  double volume = 0.0;
  double height = reference[1];
  for (const Objectives& point : points) {
    if (point[1] >= height) continue;
    volume += (reference[0] - point[0]) * (height - point[1]);
    height = point[1];
  }
  return volume;
}

}  // namespace

double hypervolume(const std::vector<Objectives>& points, const Objectives& reference) {
  check_points("hypervolume reference", {reference}, reference.size());
  check_points("hypervolume", points, reference.size());
  std::vector<Objectives> inside;
  for (const Objectives& point : points) {
    bool better = true;
    for (size_t k = 0; k < reference.size(); ++k) better = better && point[k] < reference[k];
    if (better) inside.push_back(point);
  }
  if (inside.empty()) return 0.0;
  if (reference.size() == 1)
    return reference[0] - (*std::min_element(inside.begin(), inside.end()))[0];
  if (reference.size() == 2) return sweep_2d(std::move(inside), reference);
  std::vector<Objectives> front;
  for (const size_t i : non_dominated(inside)) front.push_back(inside[i]);
  return pagmo::hypervolume(front, false).compute(reference);
}

double hypervolume_fraction(const std::vector<Objectives>& points, const Objectives& reference,
                            const Objectives& ideal) {
  check_points("hypervolume ideal", {ideal}, reference.size());
  double box = 1.0;
  for (size_t k = 0; k < reference.size(); ++k) {
    if (!(ideal[k] < reference[k])) {
      throw InvariantError("hypervolume: objective " + std::to_string(k) +
                           ", ideal = " + std::to_string(ideal[k]) +
                           ", expected less than the reference " + std::to_string(reference[k]));
    }
    box *= reference[k] - ideal[k];
  }
  return hypervolume(points, reference) / box;
}

}  // namespace lathe::search
