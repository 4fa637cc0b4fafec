#pragma once

#include <cstdint>
#include <vector>

#include "search/strategy/strategy.h"

namespace lathe::search {

/// Regularised evolution (Real et al., 2019) for several objectives and constraints: the population
/// is the youngest candidates that have values, whatever they are worth. The best of a random
/// sample, by constrained domination and crowding as in NSGA-II, is mutated; the child pushes out
/// the oldest. A lucky measurement therefore dies with its candidate. The first generation is
/// uniform (with the extremes in front if so configured). The history is all of its state.
class AgingEvolution : public Strategy {
 public:
  AgingEvolution(const StrategyOptions& options, const StrategyContext& context);

  std::vector<CountedCandidate> ask(size_t count) override;
  void tell(const Evaluated&) override {}
  std::string save_state() const override { return "{}"; }
  void load_state(const std::string&) override {}

 private:
  std::vector<int64_t> youngest() const;  ///< indices into the history, falling

  StrategyOptions options_;
  StrategyContext context_;
  int64_t sample_;
  VariationOptions variation_;
};

}  // namespace lathe::search
