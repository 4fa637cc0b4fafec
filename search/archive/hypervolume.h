#pragma once

#include <vector>

#include "search/evaluation/problem.h"

namespace lathe::search {

/// Returns the volume that `points` dominate inside the box below `reference` (all objectives
/// minimised). Points that are not better than the reference in every objective add nothing;
/// dominated and equal points are allowed. Exact: a sweep in O(n log n) for two objectives, WFG
/// beyond (2 to 4 are practical). \throws InvariantError if a size differs or a value is not
/// finite.
double hypervolume(const std::vector<Objectives>& points, const Objectives& reference);

/// Returns hypervolume(points, reference) divided by the volume of the box from `ideal` to
/// `reference`. \throws InvariantError also if `ideal` is not below `reference` everywhere.
double hypervolume_fraction(const std::vector<Objectives>& points, const Objectives& reference,
                            const Objectives& ideal);

}  // namespace lathe::search
