#pragma once

#include <cstdint>
#include <vector>

#include "search/strategy/standing.h"
#include "search/strategy/strategy.h"

namespace lathe::search {

/// NSGA-II over a discrete space with elitism, no duplicates in the whole search, and immigrants.
/// The first generation is uniform (with the extremes in front if so configured). What was told
/// since the last ask() joins the population when the next children are asked for, so it runs by
/// generations or steadily, as the controller asks.
class Nsga2 : public Strategy {
 public:
  Nsga2(const StrategyOptions& options, const StrategyContext& context);

  std::vector<CountedCandidate> ask(size_t count) override;
  void tell(const Evaluated& evaluated) override;
  std::string save_state() const override;
  void load_state(const std::string& text) override;

 private:
  std::vector<Standing> merge_told();
  std::optional<CountedCandidate> child(const std::vector<Standing>& standings, Rng& rng);

  StrategyOptions options_;
  StrategyContext context_;
  VariationOptions variation_;
  std::vector<int64_t> population_;  ///< indices into the history
  std::vector<int64_t> told_;        ///< since the last ask
};

}  // namespace lathe::search
