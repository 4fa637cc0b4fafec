#pragma once

#include <cstdint>
#include <vector>

#include "search/evaluation/problem.h"

namespace lathe::search {

/// True if `a` is nowhere worse than `b` and somewhere better (all objectives minimised).
/// \throws InvariantError if the sizes differ.
bool dominates(const Objectives& a, const Objectives& b);

/// Returns the indices of the points that no other point dominates, in increasing order. Equal
/// points are all kept. Complexity: O(n log n) for two objectives, O(n^2) otherwise. \throws
/// InvariantError if two points differ in size or a value is not finite.
std::vector<size_t> non_dominated(const std::vector<Objectives>& points);

/// Returns the points' indices by front: first the non-dominated ones, then those that are
/// non-dominated without them, and so on; increasing inside a front. Complexity: O(n^2) (Deb et
/// al., NSGA-II, 2002). \throws InvariantError as non_dominated.
std::vector<std::vector<size_t>> non_dominated_fronts(const std::vector<Objectives>& points);

/// Returns the crowding distances of the points of one front (Deb et al., 2002); the ends of every
/// objective get infinity. An objective that is constant over the front adds nothing. \throws
/// InvariantError as non_dominated.
std::vector<double> crowding_distances(const std::vector<Objectives>& front);

/// \throws InvariantError naming `where` and the first point of another size than `objectives`, or
/// value that is not finite.
void check_points(const char* where, const std::vector<Objectives>& points, size_t objectives);

}  // namespace lathe::search
