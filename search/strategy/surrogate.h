#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "search/strategy/expected_improvement.h"
#include "search/strategy/learned_metrics.h"
#include "search/strategy/strategy.h"

namespace lathe::search {

/// Learns every measured metric from the evaluations so far and asks for what is expected to add
/// the most hypervolume (LearnedMetrics). Candidates come from a pool:
/// all neighbours of the front, their mutations and crossovers, and uniform draws. A batch is
/// chosen one by one, each choice (and whatever is still being evaluated) standing in the front
/// with its predicted values. Constraints count by the probability that they hold.
class Surrogate : public Strategy {
 public:
  Surrogate(const StrategyOptions& options, const StrategyContext& context);

  std::vector<CountedCandidate> ask(size_t count) override;
  void tell(const Evaluated& evaluated) override;
  std::string save_state() const override;
  void load_state(const std::string& text) override;
  void add_findings(SearchOutcome& outcome) const override;

 private:
  struct Member;

  std::vector<Architecture> elite() const;
  std::vector<Member> make_pool(Rng& rng);
  void add_beliefs(std::vector<Member>& members) const;
  std::vector<Belief> objective_beliefs(const Member& member) const;
  void learn_margins();
  double feasibility(const Member& member) const;
  std::vector<Objectives> feasible_points() const;
  Objectives reference_point() const;
  std::vector<Architecture> choose(std::vector<Member>& pool, size_t count, Rng& rng) const;
  void screen(const std::vector<Member>& pool, const ExpectedImprovement& improvement,
              std::vector<size_t>& indices) const;

  StrategyOptions options_;
  StrategyContext context_;
  LearnedMetrics models_;
  std::vector<double> margins_;       ///< by constraint: see learn_margins()
  std::deque<Architecture> pending_;  ///< asked and not told
};

}  // namespace lathe::search
