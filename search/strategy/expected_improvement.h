#pragma once

#include <vector>

#include "core/rng.h"
#include "search/evaluation/problem.h"

namespace lathe::search {

/// A normal distribution of one minimised objective; deviation 0 is a known value.
struct Belief {
  double mean = 0.0;
  double deviation = 0.0;
};

/// Returns the expectation of max(0, level - X) for X as believed.
double expected_shortfall(double level, const Belief& belief);

/// Returns the probability that X <= bound.
double probability_below(double bound, const Belief& belief);

/// How much hypervolume a candidate is expected to add to a front, all objectives minimised and
/// independent. Immutable after construction.
class ExpectedImprovement {
 public:
  /// `front` may hold dominated points and points outside of `reference`; they are left out.
  /// `draws` standard normal vectors are shared by all candidates where sampling is needed (3 or
  /// more objectives). \throws InvariantError if sizes differ or a value is not finite.
  ExpectedImprovement(const std::vector<Objectives>& front, const Objectives& reference, Rng rng,
                      int draws = 24);

  /// Exact for one and two objectives (Emmerich et al., 2011), in O(size of the front); sampled
  /// beyond.
  double operator()(const std::vector<Belief>& beliefs) const;

  /// The exact addition of a known point: operator() with deviations 0, for any number of
  /// objectives.
  double of_point(const Objectives& point) const;

 private:
  double two_objectives(const std::vector<Belief>& beliefs) const;

  std::vector<Objectives> front_;  ///< non-dominated, inside, sorted
  Objectives reference_;
  double volume_ = 0.0;
  std::vector<std::vector<double>> draws_;
};

}  // namespace lathe::search
