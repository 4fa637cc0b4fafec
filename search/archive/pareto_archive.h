#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "search/evaluation/problem.h"

namespace lathe::search {

/// The non-dominated points seen so far, all objectives minimised, equal points all kept. Not
/// thread-safe.
class ParetoArchive {
 public:
  struct Entry {
    int64_t id = 0;
    Objectives point;
  };

  /// \throws InvariantError if `objectives` is 0.
  explicit ParetoArchive(size_t objectives);

  /// Adds the point unless a kept one dominates it, and drops those that it dominates. Returns
  /// whether it was kept. Complexity: amortised O(log n) for two objectives, O(n) otherwise.
  /// \throws InvariantError if the size differs or a value is not finite; the archive is unchanged.
  bool insert(int64_t id, const Objectives& point);

  /// True if a kept point dominates `point`. Complexity as insert. \throws as insert.
  bool dominated(const Objectives& point) const;

  /// The kept points, sorted by the first objective, then the others, then id.
  std::vector<Entry> entries() const;
  /// The kept ids, increasing.
  std::vector<int64_t> ids() const;
  size_t size() const { return size_; }

 private:
  using Ids = std::vector<int64_t>;
  bool dominated_2d(const Objectives& point) const;
  void drop_dominated(const Objectives& point);

  size_t objectives_;
  size_t size_ = 0;
  // Lexicographic order. For two objectives the second one then strictly decreases, so a point's
  // only possible dominator is its predecessor and the points that it dominates follow it at once.
  std::map<Objectives, Ids> points_;
};

}  // namespace lathe::search
