#include "search/archive/pareto_archive.h"

#include <algorithm>
#include <iterator>

#include "search/archive/dominance.h"

namespace lathe::search {

ParetoArchive::ParetoArchive(size_t objectives) : objectives_(objectives) {
  if (objectives == 0) throw InvariantError("ParetoArchive: objectives = 0, expected at least 1");
}

bool ParetoArchive::dominated_2d(const Objectives& point) const {
  const auto after = points_.upper_bound(point);
  if (after == points_.begin()) return false;
  const Objectives& before = std::prev(after)->first;
  return before != point && before[1] <= point[1];
}

bool ParetoArchive::dominated(const Objectives& point) const {
  check_points("ParetoArchive", {point}, objectives_);
  if (objectives_ == 2) return dominated_2d(point);
  return std::any_of(points_.begin(), points_.end(),
                     [&](const auto& kept) { return dominates(kept.first, point); });
}

void ParetoArchive::drop_dominated(const Objectives& point) {
  for (auto it = points_.upper_bound(point); it != points_.end();) {
    if (dominates(point, it->first)) {
      size_ -= it->second.size();
      it = points_.erase(it);
    } else if (objectives_ == 2) {
      return;
    } else {
      ++it;
    }
  }
}

bool ParetoArchive::insert(int64_t id, const Objectives& point) {
  if (dominated(point)) return false;
  drop_dominated(point);
  points_[point].push_back(id);
  ++size_;
  return true;
}

std::vector<ParetoArchive::Entry> ParetoArchive::entries() const {
  std::vector<Entry> all;
  all.reserve(size_);
  for (const auto& [point, ids] : points_) {
    Ids sorted = ids;
    std::sort(sorted.begin(), sorted.end());
    for (const int64_t id : sorted) all.push_back({id, point});
  }
  return all;
}

std::vector<int64_t> ParetoArchive::ids() const {
  std::vector<int64_t> all;
  all.reserve(size_);
  for (const auto& [point, ids] : points_) all.insert(all.end(), ids.begin(), ids.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace lathe::search
