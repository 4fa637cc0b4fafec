#include "search/strategy/nsga2.h"

#include <nlohmann/json.hpp>

#include "search/strategy/standing.h"

namespace lathe::search {
namespace {

constexpr int64_t kTournament = 2;

}  // namespace

Nsga2::Nsga2(const StrategyOptions& options, const StrategyContext& context)
    : options_(options), context_(context) {
  variation_.gene_mutation_probability = mutation_probability(options, context.space);
}

void Nsga2::tell(const Evaluated& evaluated) {
  if (evaluated.ok()) told_.push_back(evaluated.candidate.index);
}

std::vector<Standing> Nsga2::merge_told() {
  population_.insert(population_.end(), told_.begin(), told_.end());
  told_.clear();
  std::vector<Objectives> points;
  std::vector<double> violations;
  gather_values(context_, population_, points, violations);
  std::vector<int64_t> survivors;
  for (const size_t i :
       select_survivors(points, violations, static_cast<size_t>(options_.population))) {
    survivors.push_back(population_[i]);
  }
  population_ = std::move(survivors);
  gather_values(context_, population_, points, violations);
  return constrained_standings(points, violations);
}

std::optional<CountedCandidate> Nsga2::child(const std::vector<Standing>& standings, Rng& rng) {
  const auto parent = [&](Rng& r) -> const Architecture& {
    const int64_t index = population_[tournament(standings, kTournament, r)];
    return context_.history[static_cast<size_t>(index)].candidate.architecture;
  };
  const auto vary = [&](Rng& r) {
    const Architecture& first = parent(r);
    if (!r.bernoulli(options_.crossover_probability)) {
      return mutate(context_.space, first, variation_, r);
    }
    const Architecture crossed = crossover(context_.space, first, parent(r), r);
    return mutate(context_.space, crossed, variation_, r);
  };
  return context_.proposer.propose(vary, rng);
}

std::vector<CountedCandidate> Nsga2::ask(size_t count) {
  const std::vector<Standing> standings = merge_told();
  std::vector<CountedCandidate> proposals;
  while (proposals.size() < count) {
    const int64_t index = context_.proposer.proposed();
    Rng rng = context_.rng.derive("propose", static_cast<uint64_t>(index));
    std::optional<CountedCandidate> candidate;
    if (index < options_.population || population_.empty()) {
      candidate = propose_first(options_, context_, rng);
    } else if (!rng.bernoulli(options_.immigrants)) {
      candidate = child(standings, rng);
    }
    if (!candidate) candidate = context_.proposer.propose_uniform(rng);
    if (!candidate) break;
    proposals.push_back(std::move(*candidate));
  }
  return proposals;
}

std::string Nsga2::save_state() const {
  return nlohmann::json{{"population", population_}, {"told", told_}}.dump();
}

void Nsga2::load_state(const std::string& text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    population_ = json.at("population").get<std::vector<int64_t>>();
    told_ = json.at("told").get<std::vector<int64_t>>();
  } catch (const nlohmann::json::exception& e) {
    throw DataError(std::string("nsga2 state: ") + e.what());
  }
  for (const std::vector<int64_t>* members : {&population_, &told_}) {
    for (const int64_t index : *members) {
      const bool known = index >= 0 && index < static_cast<int64_t>(context_.history.size());
      if (!known || !context_.history[static_cast<size_t>(index)].ok()) {
        throw DataError("nsga2 state: member " + std::to_string(index) +
                        ", expected a candidate with values");
      }
    }
  }
}

}  // namespace lathe::search
