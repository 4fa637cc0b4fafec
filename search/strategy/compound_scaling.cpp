#include "search/strategy/compound_scaling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/log.h"
#include "search/strategy/controller.h"

namespace lathe::search {
namespace {

constexpr const char* kSmallest = "smallest";
constexpr const char* kBest = "best";
constexpr size_t kFewestPoints = 6;  // of a fit with four unknowns, the baseline included
/// Predictions err: a point that should be a little too slow may turn out fast enough.
constexpr double kMargin = 1.05;
/// The exponent of the cost in the reward of MnasNet (Tan et al., 2019), by which EfficientNet's
/// baseline was found.
constexpr double kRewardExponent = -0.07;

const Metric kAccuracy = {MetricKind::Accuracy, ""};

std::vector<double> as_list(const ScaleFactors& factors) {
  return {factors.depth, factors.width, factors.resolution};
}

Architecture given_baseline(const ScalingOptions& options, const SearchSpace& space) {
  if (options.baseline == kSmallest) return space.smallest();
  return space.canonical(Architecture::parse(options.baseline));
}

std::string fitted_text(const models::PowerLaw& law) {
  char text[160];
  std::snprintf(text, sizeof text,
                "latency ~ depth^%.2f width^%.2f resolution^%.2f, R^2 %.3f, residual %.1f %%",
                law.exponents[0], law.exponents[1], law.exponents[2], law.r_squared,
                100.0 * law.residual);
  return text;
}

}  // namespace

std::string scaling_problem_fault(const ScalingOptions& options, const Problem& problem) {
  const std::vector<Metric> metrics = problem.metrics();
  const auto has = [&](const Metric& metric) {
    return std::find(metrics.begin(), metrics.end(), metric) != metrics.end();
  };
  if (!has(kAccuracy)) return "accuracy among the objectives: compound_scaling chooses by it";
  if (is_counted(options.budget.kind) || has(options.budget)) return "";
  return to_string(options.budget) +
         " among the objectives or constraints: it is compound_scaling's budget";
}

std::string scaling_space_fault(const ScalingOptions& options, const SearchSpace& space) {
  const auto* staged = dynamic_cast<const StagedSpace*>(&space);
  if (staged == nullptr) {
    return "a space of stages, whose depth, width and resolution can be scaled; " + space.name() +
           " has none";
  }
  if (options.baseline == kBest) return "";
  Architecture baseline;
  try {
    baseline = given_baseline(options, space);
  } catch (const Error& error) {
    return "a baseline of the space (" + std::string(error.what()) + ")";
  }
  const std::vector<GridPoint> grid = scaling_grid(*staged, baseline, options.factor);
  const size_t fewest = is_counted(options.budget.kind) ? 1 : kFewestPoints - 1;
  if (grid.size() >= fewest) return "";
  return "a baseline that can be scaled to at least " + std::to_string(fewest) +
         " other networks; factors up to " + std::to_string(options.factor).substr(0, 4) +
         " make " + std::to_string(grid.size()) + " of " + baseline.to_string() + " in " +
         space.name();
}

CompoundScaling::CompoundScaling(const StrategyOptions& options, const StrategyContext& context)
    : options_(options),
      context_(context),
      space_(dynamic_cast<const StagedSpace*>(&context.space)) {
  std::string fault = scaling_space_fault(options.scaling, context.space);
  if (fault.empty()) fault = scaling_problem_fault(options.scaling, context.problem);
  if (!fault.empty()) throw ConfigError("compound_scaling: expected " + fault);
  if (options.scaling.baseline != kBest) {
    baseline_ = given_baseline(options.scaling, context.space);
    needed_ = {*baseline_};
  }
}

// What is known

void CompoundScaling::remember(const Evaluated& evaluated) {
  told_.emplace(evaluated.candidate.architecture, static_cast<size_t>(evaluated.candidate.index));
}

const Evaluated* CompoundScaling::told(const Architecture& architecture) const {
  const auto found = told_.find(architecture);
  return found == told_.end() ? nullptr : &context_.history[found->second];
}

std::optional<double> CompoundScaling::cost_of(const Evaluated* evaluated) const {
  if (evaluated == nullptr || !evaluated->ok()) return std::nullopt;
  return evaluated->metrics.at(options_.scaling.budget).value;
}

double CompoundScaling::baseline_cost() const { return cost_of(told(*baseline_)).value(); }

double CompoundScaling::predict(const ScaleFactors& realised) const {
  return law_ ? (*law_)(as_list(realised)) : baseline_cost() * expected_cost(realised);
}

bool CompoundScaling::fits_counts(const Architecture& architecture) const {
  return context_.problem.counted_violation(context_.proposer.remembered(architecture).counted) ==
         0.0;
}

/// The highest reward among the first generation, feasible ones before others.
Architecture CompoundScaling::best_of_first() const {
  const Evaluated* best = nullptr;
  std::pair<double, double> best_score;  // violation, minus the reward
  for (size_t i = 0; i < static_cast<size_t>(options_.population); ++i) {
    const Evaluated& evaluated = context_.history[i];
    const auto cost = cost_of(&evaluated);
    if (!cost) continue;
    const double reward = evaluated.metrics.at(kAccuracy).value * std::pow(*cost, kRewardExponent);
    const std::pair<double, double> score = {context_.problem.violation(evaluated.metrics),
                                             -reward};
    if (best == nullptr || score < best_score) {
      best = &evaluated;
      best_score = score;
    }
  }
  if (best == nullptr) {
    throw DeviceError("compound_scaling: all of the first " + std::to_string(options_.population) +
                      " candidates failed: there is no baseline");
  }
  return best->candidate.architecture;
}

// The stages

bool CompoundScaling::settled() const {
  if (!baseline_) return static_cast<int64_t>(context_.history.size()) >= options_.population;
  return std::all_of(needed_.begin(), needed_.end(),
                     [this](const Architecture& each) { return told(each) != nullptr; });
}

void CompoundScaling::advance() {
  while (stage_ != Stage::Done && settled()) {
    needed_.clear();
    switch (stage_) {
      case Stage::Baseline:
        begin_fit();
        stage_ = Stage::Fit;
        break;
      case Stage::Fit:
        begin_grid();
        stage_ = Stage::Grid;
        break;
      case Stage::Grid:
        begin_family();
        stage_ = Stage::Family;
        break;
      default:
        stage_ = Stage::Done;
    }
  }
}

void CompoundScaling::begin_fit() {
  if (!baseline_) baseline_ = best_of_first();
  const Evaluated* baseline = told(*baseline_);
  if (!baseline->ok()) {
    throw DeviceError("compound_scaling: the baseline " + baseline_->to_string() + " failed on " +
                      baseline->failed_on + ": " + to_string(baseline->failure->kind) + ": " +
                      baseline->failure->message);
  }
  grid_ = scaling_grid(*space_, *baseline_, options_.scaling.factor);
  grid_.erase(
      std::remove_if(grid_.begin(), grid_.end(),
                     [this](const GridPoint& point) { return !fits_counts(point.architecture); }),
      grid_.end());
  if (is_counted(options_.scaling.budget.kind)) return;
  const auto count = static_cast<size_t>(options_.scaling.points) - 1;  // and the baseline
  // Up to phi = 2, so that the fit is asked for little beyond what it has seen; further only where
  // so few networks lie below.
  std::vector<double> costs;
  for (const GridPoint& point : grid_) costs.push_back(expected_cost(point.realised));
  std::sort(costs.begin(), costs.end());
  double most_cost = options_.scaling.factor * options_.scaling.factor;
  if (!costs.empty()) most_cost = std::max(most_cost, costs[std::min(count, costs.size()) - 1]);
  evaluated_ = spread_points(grid_, count, most_cost);
  if (evaluated_.size() + 1 < kFewestPoints) {
    throw ConfigError("compound_scaling: only " + std::to_string(evaluated_.size()) +
                      " networks can be made of the baseline " + baseline_->to_string() +
                      ", expected at least " + std::to_string(kFewestPoints - 1) +
                      " to fit the latency: give the space more choices, or another baseline");
  }
  for (const size_t i : evaluated_) needed_.push_back(grid_[i].architecture);
}

void CompoundScaling::begin_grid() {
  const ScalingOptions& scaling = options_.scaling;
  const double budget = scaling.factor * baseline_cost();
  if (!is_counted(scaling.budget.kind)) {
    std::vector<std::vector<double>> factors = {{1.0, 1.0, 1.0}};
    std::vector<double> costs = {baseline_cost()};
    for (const size_t i : evaluated_) {
      const auto cost = cost_of(told(grid_[i].architecture));
      if (!cost) continue;
      factors.push_back(as_list(grid_[i].realised));
      costs.push_back(*cost);
    }
    if (costs.size() < kFewestPoints) {
      throw DeviceError("compound_scaling: only " + std::to_string(costs.size()) + " of " +
                        std::to_string(evaluated_.size() + 1) +
                        " points were measured, expected at least " +
                        std::to_string(kFewestPoints) + " to fit the latency");
    }
    law_ = models::fit_power_law(factors, costs);
    log::info("compound scaling: " + fitted_text(*law_));
  }
  std::vector<std::pair<double, size_t>> near;  // how far from the budget, by logarithms
  for (size_t i = 0; i < grid_.size(); ++i) {
    if (std::find(evaluated_.begin(), evaluated_.end(), i) != evaluated_.end()) continue;
    const double predicted = predict(grid_[i].realised);
    // What can be counted needs no margin.
    const bool within = law_ ? predicted <= kMargin * budget
                             : context_.proposer.remembered(grid_[i].architecture)
                                       .counted.at(scaling.budget)
                                       .value <= budget;
    if (within) near.emplace_back(std::abs(std::log(predicted / budget)), i);
  }
  std::sort(near.begin(), near.end());
  near.resize(std::min(near.size(), static_cast<size_t>(scaling.grid)));
  for (const auto& [distance, i] : near) {
    evaluated_.push_back(i);
    needed_.push_back(grid_[i].architecture);
  }
}

void CompoundScaling::begin_family() {
  const double budget = options_.scaling.factor * baseline_cost();
  std::array<double, 3> best_score{};  // violation, minus the accuracy, cost
  for (const size_t i : evaluated_) {
    const Evaluated* evaluated = told(grid_[i].architecture);
    const auto cost = cost_of(evaluated);
    if (!cost || *cost > budget) continue;
    const std::array<double, 3> score = {context_.problem.violation(evaluated->metrics),
                                         -evaluated->metrics.at(kAccuracy).value, *cost};
    if (!best_ || score < best_score) {
      best_ = i;
      best_score = score;
    }
  }
  if (!best_) {
    log::warning("compound scaling: none of " + std::to_string(evaluated_.size()) +
                 " networks of the grid stays within " +
                 format_metric(options_.scaling.budget, budget) +
                 ": there is no family; raise factor or give the space finer choices");
    return;
  }
  for (int64_t phi = 0; phi <= options_.scaling.family; ++phi) {
    const auto power = [phi](double factor) { return std::pow(factor, static_cast<double>(phi)); };
    const ScaleFactors& best = grid_[*best_].asked;
    GridPoint member;
    member.asked = {power(best.depth), power(best.width), power(best.resolution)};
    member.architecture = scale_within(*space_, *baseline_, member.asked);
    member.realised = factors_between(*space_, *baseline_, member.architecture);
    if (fits_counts(member.architecture)) needed_.push_back(member.architecture);
    family_.push_back(std::move(member));
  }
}

// Ask and tell

bool CompoundScaling::draws_first() const {
  return !baseline_ && context_.proposer.proposed() < options_.population;
}

std::optional<Architecture> CompoundScaling::next_needed() const {
  for (const Architecture& architecture : needed_) {
    if (told(architecture) != nullptr) continue;
    if (std::find(pending_.begin(), pending_.end(), architecture) == pending_.end()) {
      return architecture;
    }
  }
  return std::nullopt;
}

std::vector<CountedCandidate> CompoundScaling::ask(size_t count) {
  std::vector<CountedCandidate> proposals;
  while (proposals.size() < count) {
    Rng rng = context_.rng.derive("propose", static_cast<uint64_t>(context_.proposer.proposed()));
    std::optional<CountedCandidate> candidate;
    if (draws_first()) {
      candidate = propose_first(options_, context_, rng);
      if (!candidate) break;
    } else {
      const std::optional<Architecture> needed = next_needed();
      if (!needed) break;
      if (!fits_counts(*needed)) {
        throw ConfigError("compound_scaling: the baseline " + needed->to_string() +
                          " breaks a constraint on what is counted: choose another one");
      }
      candidate = context_.proposer.propose([&](Rng&) { return *needed; }, rng, 1);
      if (!candidate) {
        throw InvariantError("compound_scaling: the network " + needed->to_string() +
                             " was proposed before, expected a new one");
      }
    }
    pending_.push_back(candidate->candidate.architecture);
    proposals.push_back(std::move(*candidate));
  }
  return proposals;
}

void CompoundScaling::tell(const Evaluated& evaluated) {
  if (pending_.empty()) throw InvariantError("CompoundScaling::tell: nothing is pending");
  pending_.pop_front();
  remember(evaluated);
  advance();
}

bool CompoundScaling::waiting() const {
  return !pending_.empty() && !draws_first() && !next_needed();
}

ScaledCandidate CompoundScaling::describe(const GridPoint& point) const {
  ScaledCandidate candidate;
  candidate.asked = point.asked;
  candidate.realised = point.realised;
  candidate.architecture = point.architecture;
  candidate.predicted = predict(point.realised);
  const Evaluated* evaluated = told(point.architecture);
  if (evaluated == nullptr) return candidate;
  candidate.index = evaluated->candidate.index;
  candidate.cost = cost_of(evaluated);
  if (candidate.cost) candidate.accuracy = evaluated->metrics.at(kAccuracy).value;
  return candidate;
}

std::optional<ScalingFamily> CompoundScaling::family() const {
  if (stage_ == Stage::Baseline || stage_ == Stage::Fit) return std::nullopt;
  ScalingFamily family;
  family.budget = options_.scaling.budget;
  family.factor = options_.scaling.factor;
  family.budget_cost = family.factor * baseline_cost();
  family.baseline = *baseline_;
  family.law = law_;
  for (const size_t i : evaluated_) {
    if (best_ == i) family.best = family.grid.size();
    family.grid.push_back(describe(grid_[i]));
  }
  for (size_t phi = 0; phi < family_.size(); ++phi) {
    FamilyMember member;
    member.phi = static_cast<int64_t>(phi);
    member.candidate = describe(family_[phi]);
    for (size_t earlier = phi; earlier-- > 0;) {
      if (family_[earlier].architecture == family_[phi].architecture) {
        member.same_as = static_cast<int64_t>(earlier);
      }
    }
    family.members.push_back(std::move(member));
  }
  return family;
}

void CompoundScaling::add_findings(SearchOutcome& outcome) const { outcome.scaling = family(); }

std::string CompoundScaling::save_state() const {
  nlohmann::json pending = nlohmann::json::array();
  for (const Architecture& architecture : pending_) pending.push_back(architecture.to_string());
  return nlohmann::json{{"pending", pending}}.dump();
}

void CompoundScaling::load_state(const std::string& text) {
  std::deque<Architecture> pending;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for (const auto& architecture : json.at("pending")) {
      pending.push_back(Architecture::parse(architecture.get<std::string>()));
    }
  } catch (const nlohmann::json::exception& e) {
    throw DataError(std::string("compound_scaling state: ") + e.what());
  }
  const auto asked = static_cast<int64_t>(context_.history.size() + pending.size());
  if (asked != context_.proposer.proposed()) {
    throw DataError("compound_scaling state: " + std::to_string(pending.size()) +
                    " pending after " + std::to_string(context_.history.size()) +
                    " committed, expected " + std::to_string(context_.proposer.proposed()) +
                    " together");
  }
  pending_ = std::move(pending);
  for (const Evaluated& evaluated : context_.history) remember(evaluated);
  advance();
}

}  // namespace lathe::search
