#include "search/strategy/surrogate.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "core/statistics.h"
#include "search/archive/dominance.h"
#include "search/strategy/controller.h"

namespace lathe::search {
namespace {

constexpr size_t kMostElite = 80;
constexpr size_t kSampledObjectives = 60;  // candidates whose improvement is sampled, best first

/// The belief about the minimised value, from one in the learned unit.
Belief from_learned(const Belief& learned) {
  const double mean = std::exp(learned.mean);
  return {mean, mean * learned.deviation};
}

}  // namespace

struct Surrogate::Member {
  Architecture architecture;
  Metrics counted;
  models::Features features;
  std::vector<Belief> learned;  ///< by metric of models_
};

Surrogate::Surrogate(const StrategyOptions& options, const StrategyContext& context)
    : options_(options),
      context_(context),
      models_(context.space, context.problem, context.proposer, options.block_costs) {}

void Surrogate::tell(const Evaluated& /*evaluated*/) {
  if (pending_.empty()) throw InvariantError("Surrogate::tell: nothing is pending");
  pending_.pop_front();
}

void Surrogate::add_findings(SearchOutcome& outcome) const { outcome.learned = models_.reports(); }

std::vector<Objectives> Surrogate::feasible_points() const {
  std::vector<Objectives> points;
  for (const Evaluated& evaluated : context_.history) {
    if (!evaluated.ok() || context_.problem.violation(evaluated.metrics) > 0.0) continue;
    points.push_back(context_.problem.minimised(evaluated.metrics));
  }
  return points;
}

std::vector<Architecture> Surrogate::elite() const {
  std::vector<Objectives> points;
  std::vector<size_t> feasible;
  std::vector<std::pair<double, size_t>> infeasible;
  for (size_t i = 0; i < context_.history.size(); ++i) {
    const Evaluated& evaluated = context_.history[i];
    if (!evaluated.ok()) continue;
    const double violation = context_.problem.violation(evaluated.metrics);
    if (violation > 0.0) {
      infeasible.emplace_back(violation, i);
      continue;
    }
    points.push_back(context_.problem.minimised(evaluated.metrics));
    feasible.push_back(i);
  }
  std::vector<size_t> chosen;
  for (const size_t i : non_dominated(points)) chosen.push_back(feasible[i]);
  std::sort(infeasible.begin(), infeasible.end());
  for (size_t i = 0; i < infeasible.size() && chosen.size() < 10; ++i) {
    chosen.push_back(infeasible[i].second);
  }
  std::vector<Architecture> architectures;
  const size_t count = std::min(chosen.size(), kMostElite);
  for (size_t i = 0; i < count; ++i) {
    const size_t index = chosen[i * chosen.size() / count];
    architectures.push_back(context_.history[index].candidate.architecture);
  }
  return architectures;
}

std::vector<Surrogate::Member> Surrogate::make_pool(Rng& rng) {
  const std::vector<Architecture> parents = elite();
  const auto size = static_cast<size_t>(options_.pool);
  std::vector<Architecture> drawn;
  const std::vector<Gene>& genes = context_.space.genes();
  for (const Architecture& parent : parents) {
    const std::vector<bool> active = context_.space.active(parent);
    for (size_t gene = 0; gene < genes.size(); ++gene) {
      if (!active[gene]) continue;
      for (size_t option = 0; option < genes[gene].options.size(); ++option) {
        if (option == parent.genes[gene]) continue;
        drawn.push_back(parent);
        drawn.back().genes[gene] = static_cast<uint16_t>(option);
      }
    }
  }
  rng.shuffle(drawn);
  drawn.resize(std::min(drawn.size(), size / 2));
  const VariationOptions wide{2.0 / static_cast<double>(genes.size())};
  for (size_t i = 0; i < size / 4 && !parents.empty(); ++i) {
    drawn.push_back(mutate(context_.space, rng.choose(parents), wide, rng));
    drawn.push_back(crossover(context_.space, rng.choose(parents), rng.choose(parents), rng));
  }
  while (drawn.size() < size) drawn.push_back(context_.space.sample(rng));

  std::vector<Member> pool;
  std::unordered_set<Architecture, ArchitectureHash> seen;
  for (const Architecture& architecture : drawn) {
    if (!seen.insert(context_.space.canonical(architecture)).second) continue;
    auto preview = context_.proposer.preview(architecture);
    if (!preview) continue;
    Member member;
    member.architecture = preview->candidate.architecture;
    member.features = model_features(context_.space, *preview);
    member.counted = std::move(preview->counted);
    pool.push_back(std::move(member));
  }
  return pool;
}

void Surrogate::add_beliefs(std::vector<Member>& members) const {
  std::vector<models::Features> features;
  for (const Member& member : members) features.push_back(member.features);
  std::vector<std::vector<Belief>> beliefs = models_.beliefs(features);
  for (size_t i = 0; i < members.size(); ++i) members[i].learned = std::move(beliefs[i]);
}

std::vector<Belief> Surrogate::objective_beliefs(const Member& member) const {
  std::vector<Belief> beliefs;
  for (const Metric& metric : context_.problem.objectives) {
    if (is_counted(metric.kind)) {
      beliefs.push_back({to_minimised(metric, member.counted.at(metric).value), 0.0});
      continue;
    }
    beliefs.push_back(from_learned(member.learned[models_.position(metric)]));
  }
  return beliefs;
}

/// A bound is held against the interval's worse end, which nothing has learned. So this is how far
/// it usually lies from the value, in the learned unit, by constraint.
void Surrogate::learn_margins() {
  margins_.clear();
  for (const Constraint& constraint : context_.problem.constraints) {
    const Metric& metric = constraint.metric;
    std::vector<double> distances;
    for (const Evaluated& evaluated : context_.history) {
      const auto found = evaluated.metrics.find(metric);
      if (!evaluated.ok() || found == evaluated.metrics.end()) continue;
      const MetricValue& known = found->second;
      const double worse_end = constraint.at_most ? known.high : known.low;
      distances.push_back(to_learned(metric, worse_end) - to_learned(metric, known.value));
    }
    margins_.push_back(distances.empty() ? 0.0 : median(distances));
  }
}

double Surrogate::feasibility(const Member& member) const {
  double probability = 1.0;
  for (size_t c = 0; c < context_.problem.constraints.size(); ++c) {
    const Constraint& constraint = context_.problem.constraints[c];
    if (is_counted(constraint.metric.kind)) continue;  // the pool keeps those
    Belief belief = member.learned[models_.position(constraint.metric)];
    belief.mean += margins_[c];
    const double below = probability_below(to_learned(constraint.metric, constraint.bound), belief);
    // An accuracy's lower bound is an upper bound of the error that is learned.
    const bool upper = constraint.at_most != larger_is_better(constraint.metric.kind);
    probability *= upper ? below : 1.0 - below;
  }
  return probability;
}

Objectives Surrogate::reference_point() const {
  if (context_.reference != nullptr && !context_.reference->empty()) return *context_.reference;
  Objectives worst(context_.problem.objectives.size(), 0.0);
  for (const Evaluated& evaluated : context_.history) {
    if (!evaluated.ok()) continue;
    const Objectives point = context_.problem.minimised(evaluated.metrics);
    for (size_t k = 0; k < worst.size(); ++k) worst[k] = std::max(worst[k], 1.1 * point[k]);
  }
  return worst;
}

std::vector<Architecture> Surrogate::choose(std::vector<Member>& pool, size_t count,
                                            Rng& rng) const {
  std::vector<Objectives> points = feasible_points();
  const Objectives reference = reference_point();
  const auto expect = [&](const Member& member) {
    // Of one objective only the best counts. A network that hardly holds the constraints would bar
    // all that are slower than it, and the rest of the batch would be further out still.
    if (reference.size() == 1 && feasibility(member) < 0.5) return;
    Objectives point;
    for (const Belief& belief : objective_beliefs(member)) point.push_back(belief.mean);
    points.push_back(point);
  };
  std::vector<Member> waiting;
  for (const Architecture& architecture : pending_) {
    Member member;
    member.architecture = architecture;
    const CountedCandidate& counted = context_.proposer.remembered(architecture);
    member.counted = counted.counted;
    member.features = model_features(context_.space, counted);
    waiting.push_back(std::move(member));
  }
  add_beliefs(waiting);
  for (const Member& member : waiting) expect(member);

  std::vector<Architecture> chosen;
  std::vector<bool> taken(pool.size(), false);
  while (chosen.size() < count) {
    const ExpectedImprovement improvement(points, reference, rng.derive("draws", chosen.size()));
    std::vector<size_t> screened;
    for (size_t i = 0; i < pool.size(); ++i) {
      if (!taken[i]) screened.push_back(i);
    }
    if (reference.size() > 2) screen(pool, improvement, screened);
    double best = 0.0;
    size_t best_index = pool.size();
    for (const size_t i : screened) {
      const double value = improvement(objective_beliefs(pool[i])) * feasibility(pool[i]);
      if (value > best) {
        best = value;
        best_index = i;
      }
    }
    if (best_index == pool.size()) break;
    taken[best_index] = true;
    chosen.push_back(pool[best_index].architecture);
    expect(pool[best_index]);
  }
  return chosen;
}

/// Keeps the members that would add most if they were one deviation better than believed.
void Surrogate::screen(const std::vector<Member>& pool, const ExpectedImprovement& improvement,
                       std::vector<size_t>& indices) const {
  if (indices.size() <= kSampledObjectives) return;
  std::vector<std::pair<double, size_t>> hopeful;
  for (const size_t i : indices) {
    Objectives point;
    for (const Belief& belief : objective_beliefs(pool[i])) {
      point.push_back(belief.mean - belief.deviation);
    }
    hopeful.emplace_back(-improvement.of_point(point) * feasibility(pool[i]), i);
  }
  std::sort(hopeful.begin(), hopeful.end());
  indices.clear();
  for (size_t i = 0; i < kSampledObjectives; ++i) indices.push_back(hopeful[i].second);
}

std::vector<CountedCandidate> Surrogate::ask(size_t count) {
  std::vector<CountedCandidate> proposals;
  const auto propose = [&](std::optional<CountedCandidate> candidate) {
    if (!candidate) return false;
    pending_.push_back(candidate->candidate.architecture);
    proposals.push_back(std::move(*candidate));
    return true;
  };
  const auto index = static_cast<uint64_t>(context_.proposer.proposed());
  const bool has_values = std::any_of(context_.history.begin(), context_.history.end(),
                                      [](const Evaluated& evaluated) { return evaluated.ok(); });
  if (static_cast<int64_t>(index) >= options_.population && has_values) {
    models_.fit(context_.history);
    learn_margins();
    Rng rng = context_.rng.derive("pool", index);
    std::vector<Member> pool = make_pool(rng);
    add_beliefs(pool);
    for (const Architecture& architecture : choose(pool, count, rng)) {
      propose(context_.proposer.propose([&](Rng&) { return architecture; }, rng, 1));
    }
  }
  while (proposals.size() < count) {
    Rng rng = context_.rng.derive("uniform", static_cast<uint64_t>(context_.proposer.proposed()));
    if (!propose(propose_first(options_, context_, rng))) break;
  }
  return proposals;
}

std::string Surrogate::save_state() const {
  nlohmann::json json;
  json["pending"] = nlohmann::json::array();
  for (const Architecture& architecture : pending_)
    json["pending"].push_back(architecture.to_string());
  json["models"] = models_.save();
  return json.dump();
}

void Surrogate::load_state(const std::string& text) {
  std::deque<Architecture> pending;
  std::string models;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for (const auto& architecture : json.at("pending")) {
      pending.push_back(Architecture::parse(architecture.get<std::string>()));
    }
    models = json.at("models").get<std::string>();
  } catch (const nlohmann::json::exception& e) {
    throw DataError(std::string("surrogate state: ") + e.what());
  }
  const auto asked = static_cast<int64_t>(context_.history.size() + pending.size());
  if (asked != context_.proposer.proposed()) {
    throw DataError("surrogate state: " + std::to_string(pending.size()) + " pending after " +
                    std::to_string(context_.history.size()) + " committed, expected " +
                    std::to_string(context_.proposer.proposed()) + " together");
  }
  models_.load(models);
  pending_ = std::move(pending);
}

}  // namespace lathe::search
