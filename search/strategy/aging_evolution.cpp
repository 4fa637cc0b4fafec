#include "search/strategy/aging_evolution.h"

#include <algorithm>

#include "search/strategy/standing.h"

namespace lathe::search {
namespace {

constexpr int64_t kPopulationASample = 4;  // 100 and 25 in the paper

}  // namespace

AgingEvolution::AgingEvolution(const StrategyOptions& options, const StrategyContext& context)
    : options_(options),
      context_(context),
      sample_(options.sample > 0 ? options.sample
                                 : std::max<int64_t>(2, options.population / kPopulationASample)) {
  variation_.gene_mutation_probability = mutation_probability(options, context.space);
}

std::vector<int64_t> AgingEvolution::youngest() const {
  std::vector<int64_t> members;
  for (auto evaluated = context_.history.rbegin(); evaluated != context_.history.rend();
       ++evaluated) {
    if (static_cast<int64_t>(members.size()) == options_.population) break;
    if (evaluated->ok()) members.push_back(evaluated->candidate.index);
  }
  return members;
}

std::vector<CountedCandidate> AgingEvolution::ask(size_t count) {
  const std::vector<int64_t> population = youngest();
  std::vector<Objectives> points;
  std::vector<double> violations;
  gather_values(context_, population, points, violations);
  const std::vector<Standing> standings = constrained_standings(points, violations);
  const auto child = [&](Rng& rng) {
    const auto parent = static_cast<size_t>(population[tournament(standings, sample_, rng)]);
    return mutate(context_.space, context_.history[parent].candidate.architecture, variation_, rng);
  };
  std::vector<CountedCandidate> proposals;
  while (proposals.size() < count) {
    const int64_t index = context_.proposer.proposed();
    Rng rng = context_.rng.derive("propose", static_cast<uint64_t>(index));
    std::optional<CountedCandidate> candidate;
    if (index < options_.population || population.empty()) {
      candidate = propose_first(options_, context_, rng);
    } else {
      candidate = context_.proposer.propose(child, rng);
      if (!candidate) candidate = context_.proposer.propose_uniform(rng);
    }
    if (!candidate) break;
    proposals.push_back(std::move(*candidate));
  }
  return proposals;
}

}  // namespace lathe::search
