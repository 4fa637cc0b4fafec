#pragma once

#include <cstdint>
#include <vector>

#include "search/strategy/strategy.h"

namespace lathe::search {

/// A candidate's place among others under constrained domination.
struct Standing {
  int64_t rank = 0;       ///< 0 is best
  double crowding = 0.0;  ///< larger is lonelier, infinite at a front's ends
};

/// Ranks by constrained domination (Deb et al., NSGA-II, 2002): a feasible candidate beats an
/// infeasible one, two infeasible ones compare by their violation, two feasible ones by Pareto
/// domination. Crowding counts among candidates of one rank. \throws InvariantError if sizes differ
/// or a value is not finite.
std::vector<Standing> constrained_standings(const std::vector<Objectives>& points,
                                            const std::vector<double>& violations);

/// Returns the indices of the `count` best: whole ranks first; from the rank that does not fit, the
/// most crowded candidate is dropped again and again. Increasing. \throws as constrained_standings.
std::vector<size_t> select_survivors(const std::vector<Objectives>& points,
                                     const std::vector<double>& violations, size_t count);

/// True if `a` has the better rank, or the same one and more room around it.
bool is_better(const Standing& a, const Standing& b);

/// Draws `drawn` members uniformly, each from all, and returns the index of the best one; of equal
/// ones the first drawn. `standings` must not be empty.
size_t tournament(const std::vector<Standing>& standings, int64_t drawn, Rng& rng);

/// Replaces `points` and `violations` by those of the history's candidates at `indices`, which must
/// have values.
void gather_values(const StrategyContext& context, const std::vector<int64_t>& indices,
                   std::vector<Objectives>& points, std::vector<double>& violations);

}  // namespace lathe::search
