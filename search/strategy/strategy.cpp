#include "search/strategy/strategy.h"

#include "core/text.h"
#include "search/strategy/aging_evolution.h"
#include "search/strategy/compound_scaling.h"
#include "search/strategy/nsga2.h"
#include "search/strategy/random_search.h"
#include "search/strategy/surrogate.h"

namespace lathe::search {

std::vector<std::string> strategy_names() {
  return {"nsga2", "aging_evolution", "compound_scaling", "random", "surrogate"};
}

std::string strategy_fault(const StrategyOptions& options, const SearchSpace& space) {
  return options.name == "compound_scaling" ? scaling_space_fault(options.scaling, space) : "";
}

std::unique_ptr<Strategy> make_strategy(const StrategyOptions& options,
                                        const StrategyContext& context) {
  if (options.name == "nsga2") return std::make_unique<Nsga2>(options, context);
  if (options.name == "aging_evolution") {
    return std::make_unique<AgingEvolution>(options, context);
  }
  if (options.name == "compound_scaling") {
    return std::make_unique<CompoundScaling>(options, context);
  }
  if (options.name == "random") return std::make_unique<RandomSearch>(context);
  if (options.name == "surrogate") return std::make_unique<Surrogate>(options, context);
  throw ConfigError("search strategy = " + options.name + ", expected one of " +
                    join(strategy_names(), ", "));
}

std::optional<CountedCandidate> propose_first(const StrategyOptions& options,
                                              const StrategyContext& context, Rng& rng) {
  if (options.seed_extremes && context.proposer.proposed() < 2) {
    const Architecture extreme =
        context.proposer.proposed() == 0 ? context.space.smallest() : context.space.largest();
    auto candidate = context.proposer.propose([&](Rng&) { return extreme; }, rng, 1);
    if (candidate) return candidate;
  }
  return context.proposer.propose_uniform(rng);
}

double mutation_probability(const StrategyOptions& options, const SearchSpace& space) {
  return options.mutation_probability > 0.0 ? options.mutation_probability
                                            : 1.0 / static_cast<double>(space.genes().size());
}

}  // namespace lathe::search
