#include "search/strategy/expected_improvement.h"

#include <algorithm>
#include <cmath>

#include "search/archive/dominance.h"
#include "search/archive/hypervolume.h"

namespace lathe::search {
namespace {

constexpr double kInverseSqrt2 = 0.70710678118654752440;
constexpr double kInverseSqrt2Pi = 0.39894228040143267794;

double normal_cdf(double z) { return 0.5 * std::erfc(-z * kInverseSqrt2); }
double normal_pdf(double z) { return kInverseSqrt2Pi * std::exp(-0.5 * z * z); }

}  // namespace

double expected_shortfall(double level, const Belief& belief) {
  if (belief.deviation <= 0.0) return std::max(0.0, level - belief.mean);
  const double z = (level - belief.mean) / belief.deviation;
  return std::max(0.0, belief.deviation * (z * normal_cdf(z) + normal_pdf(z)));
}

double probability_below(double bound, const Belief& belief) {
  if (belief.deviation <= 0.0) return belief.mean <= bound ? 1.0 : 0.0;
  return normal_cdf((bound - belief.mean) / belief.deviation);
}

ExpectedImprovement::ExpectedImprovement(const std::vector<Objectives>& front,
                                         const Objectives& reference, Rng rng, int draws)
    : reference_(reference) {
  check_points("ExpectedImprovement reference", {reference}, reference.size());
  check_points("ExpectedImprovement", front, reference.size());
  std::vector<Objectives> inside;
  for (const Objectives& point : front) {
    bool better = true;
    for (size_t k = 0; k < reference.size(); ++k) better = better && point[k] < reference[k];
    if (better) inside.push_back(point);
  }
  for (const size_t i : non_dominated(inside)) front_.push_back(inside[i]);
  std::sort(front_.begin(), front_.end());
  front_.erase(std::unique(front_.begin(), front_.end()), front_.end());
  if (reference.size() <= 2) return;
  volume_ = hypervolume(front_, reference_);
  for (int i = 0; i < draws; ++i) {
    std::vector<double> draw(reference.size());
    for (double& value : draw) value = rng.normal();
    draws_.push_back(std::move(draw));
  }
}

/// The box below the reference is cut into strips between neighbours of the front along the first
/// objective; in each strip the improvement is the product of the width gained and the height
/// gained, which are independent.
double ExpectedImprovement::two_objectives(const std::vector<Belief>& beliefs) const {
  double total = 0.0;
  double left = 0.0;
  double height = reference_[1];
  for (size_t i = 0; i <= front_.size(); ++i) {
    const double edge = i < front_.size() ? front_[i][0] : reference_[0];
    const double right = expected_shortfall(edge, beliefs[0]);
    total += (right - left) * expected_shortfall(height, beliefs[1]);
    left = right;
    if (i < front_.size()) height = front_[i][1];
  }
  return total;
}

double ExpectedImprovement::of_point(const Objectives& point) const {
  if (point.size() <= 2) {
    std::vector<Belief> beliefs;
    for (const double value : point) beliefs.push_back({value, 0.0});
    return (*this)(beliefs);
  }
  std::vector<Objectives> with = front_;
  with.push_back(point);
  return hypervolume(with, reference_) - volume_;
}

double ExpectedImprovement::operator()(const std::vector<Belief>& beliefs) const {
  if (beliefs.size() != reference_.size()) {
    throw InvariantError("ExpectedImprovement: " + std::to_string(beliefs.size()) +
                         " beliefs, expected " + std::to_string(reference_.size()));
  }
  if (beliefs.size() == 1) {
    const double best = front_.empty() ? reference_[0] : front_[0][0];
    return expected_shortfall(best, beliefs[0]);
  }
  if (beliefs.size() == 2) return two_objectives(beliefs);
  double sum = 0.0;
  Objectives point(beliefs.size());
  for (const std::vector<double>& draw : draws_) {
    for (size_t k = 0; k < point.size(); ++k) {
      point[k] = beliefs[k].mean + beliefs[k].deviation * draw[k];
    }
    sum += of_point(point);
  }
  return draws_.empty() ? 0.0 : sum / static_cast<double>(draws_.size());
}

}  // namespace lathe::search
