#include "search/strategy/controller.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/log.h"
#include "search/archive/hypervolume.h"

namespace lathe::search {
namespace {

constexpr double kReferenceMargin = 1.1;
constexpr int64_t kHopeless = 10;

std::vector<LatencyEvaluator*> named_devices(const std::vector<LatencyEvaluator*>& devices,
                                             const Problem& problem) {
  std::set<std::string> named;
  for (const Metric& metric : problem.metrics()) {
    if (is_measured(metric.kind)) named.insert(metric.device);
  }
  std::vector<LatencyEvaluator*> used;
  for (LatencyEvaluator* device : devices) {
    if (named.count(device->device()) != 0) used.push_back(device);
  }
  return used;
}

int64_t correct_images(const AccuracyEstimate& estimate) {
  return std::llround(estimate.top1 * static_cast<double>(estimate.images));
}

int64_t parse_count(const std::string& note) {
  try {
    return std::stoll(note);
  } catch (const std::exception&) {
    throw DataError("search journal: note in_flight = " + note + ", expected a number");
  }
}

std::string describe_space(const SearchSpace& space) {
  std::string text = space.name();
  for (const Gene& gene : space.genes()) {
    text += "\n" + gene.name + ":";
    for (const std::string& option : gene.options) text += " " + option;
  }
  return space.name() + " (" + std::to_string(stable_hash(text)) + ")";
}

}  // namespace

SearchController::SearchController(const SearchSpace& space, AccuracyEvaluator& accuracy,
                                   std::vector<LatencyEvaluator*> devices,
                                   const SearchOptions& options, Journal& journal, uint64_t seed,
                                   Clock& clock)
    : space_(space),
      options_(options),
      devices_(named_devices(devices, options.problem)),
      journal_(journal),
      clock_(clock),
      proposer_(space, options_.problem),
      archive_(std::max<size_t>(1, options.problem.objectives.size())) {
  check_options();
  bind_journal(seed);
  in_flight_ = flight_limit();
  make_rules(accuracy);
  strategy_ = make_strategy(options_.strategy, {space_, options_.problem, history_, proposer_,
                                                Rng(seed).derive("search"), &reference_});
  EvaluationQueue::Options queue_options;
  queue_options.accuracy_batch = options_.accuracy_batch;
  queue_options.retry = options_.retry;
  queue_ = std::make_unique<EvaluationQueue>(&accuracy, devices_, queue_options, clock_);
  restore();
}

SearchController::~SearchController() = default;

void SearchController::check_options() const {
  if (options_.problem.objectives.empty()) {
    throw ConfigError("/search/objectives: empty, expected at least one objective");
  }
  for (const Metric& metric : options_.problem.metrics()) {
    if (!is_measured(metric.kind)) continue;
    const bool known = std::any_of(devices_.begin(), devices_.end(), [&](const auto* device) {
      return device->device() == metric.device;
    });
    if (!known) {
      throw ConfigError("/search: " + to_string(metric) +
                        ", expected a device of the list devices");
    }
    const bool measures = std::any_of(devices_.begin(), devices_.end(), [&](const auto* device) {
      return device->device() == metric.device && device->default_plan().energy_s > 0.0;
    });
    if (metric.kind == MetricKind::Energy && !measures) {
      throw ConfigError("/search: " + to_string(metric) +
                        ", expected a device whose plan measures energy");
    }
  }
  check_feasible(space_, options_.problem.constraints);
}

void SearchController::bind_journal(uint64_t seed) {
  std::map<std::string, std::string> identity = identity_of(options_);
  identity["space"] = describe_space(space_);
  identity["seed"] = std::to_string(seed);
  journal_.bind(identity);
}

int64_t SearchController::flight_limit() {
  constexpr int64_t kWaitingABoard = 2;
  const int64_t batch = batch_size(options_);
  if (options_.in_flight != 0) return std::max(batch, options_.in_flight);
  if (const auto note = journal_.note("in_flight")) return std::max(batch, parse_count(*note));
  int64_t boards = 1;
  for (const LatencyEvaluator* device : devices_) {
    boards = std::max<int64_t>(boards, device->boards());
  }
  if (boards == 1 || journal_.strategy_state()) return batch;
  const int64_t limit = batch + kWaitingABoard * boards;
  journal_.set_note("in_flight", std::to_string(limit));
  return limit;
}

void SearchController::make_rules(const AccuracyEvaluator& accuracy) {
  const std::vector<Metric> metrics = options_.problem.metrics();
  rules_.problem = &options_.problem;
  rules_.devices = devices_;
  rules_.accuracy = std::any_of(metrics.begin(), metrics.end(), [](const Metric& metric) {
    return metric.kind == MetricKind::Accuracy;
  });
  const std::vector<int64_t> part_ends = accuracy.part_ends();
  rules_.images = part_ends.empty() ? 0 : part_ends.back();
  rules_.at_once = {{rules_.accuracy ? RaceStage::Accuracy::Whole : RaceStage::Accuracy::None,
                     ImageRange(),
                     devices_.empty() ? RaceStage::Latency::None : RaceStage::Latency::Full}};
  rules_.race = race_stages(rules_.accuracy, part_ends, !devices_.empty());
}

/// The front that a candidate asked for now races against: one that does not depend on timing.
Rivals SearchController::rivals() const {
  if (!races(options_)) return nullptr;
  auto points = std::make_shared<std::vector<Objectives>>();
  for (const ParetoArchive::Entry& entry : archive_.entries()) points->push_back(entry.point);
  return points;
}

// Evaluating and committing

void SearchController::start(Trial trial, const Rivals& rivals) {
  if (rivals != nullptr) trial.race(rivals);
  trial.go_on(*queue_);
  const int64_t index = trial.candidate().index;
  pending_.emplace(index, std::move(trial));
}

void SearchController::remember(Evaluated evaluated) {
  for (const auto& [device, seconds] : evaluated.board_s) board_time_s_ += seconds;
  if (evaluated.ok() && !evaluated.screened &&
      options_.problem.violation(evaluated.metrics) == 0.0) {
    archive_.insert(evaluated.candidate.index, options_.problem.minimised(evaluated.metrics));
    if (evaluated.accuracy) best_accuracy_ = std::max(best_accuracy_, evaluated.accuracy->top1);
  }
  history_.push_back(std::move(evaluated));
}

void SearchController::save_result(const EvaluationQueue::Finished& done, Trial& trial) {
  if (!done.accuracy) {
    if (done.partial && *done.latency) {
      journal_.add(Journal::CoarseMeasurement{done.index, done.device, done.latency->value()});
      trial.add_coarse(done.device, done.latency->value());
    } else {
      journal_.add(Journal::Measurement{done.index, done.device, *done.latency});
      trial.add_latency(done.device, *done.latency);
    }
    return;
  }
  if (done.partial && *done.accuracy) {
    const AccuracyEstimate& part = done.accuracy->value();
    const AccuracyEstimate before = trial.parts_sum().value_or(AccuracyEstimate());
    const int64_t correct = correct_images(before) + correct_images(part);
    const int64_t images = before.images + part.images;
    journal_.add(Journal::PartialAccuracy{done.index, trial.parts() + 1, correct, images});
    trial.add_parts(accuracy_estimate(correct, images), trial.parts() + 1);
  } else {
    trial.add_accuracy(*done.accuracy);
    journal_.add(Journal::Accuracy{done.index, *done.accuracy});
  }
}

void SearchController::save_results(const std::vector<EvaluationQueue::Finished>& finished) {
  if (finished.empty()) return;
  Journal::Transaction transaction(journal_);
  for (const EvaluationQueue::Finished& done : finished) {
    save_result(done, pending_.at(done.index));
  }
  journal_.set_note("elapsed_s", std::to_string(seconds()));
  transaction.commit();
  for (const EvaluationQueue::Finished& done : finished) pending_.at(done.index).go_on(*queue_);
}

void SearchController::commit_ready() {
  bool failed = false;
  while (!pending_.empty() && pending_.begin()->second.done()) {
    Evaluated evaluated = std::move(pending_.begin()->second).assemble();
    pending_.erase(pending_.begin());
    if (!evaluated.ok()) {
      failed = true;
      log::warning("candidate " + std::to_string(evaluated.candidate.index) + " failed on " +
                   evaluated.failed_on + ": " + to_string(evaluated.failure->kind) + ": " +
                   evaluated.failure->message);
    }
    remember(std::move(evaluated));
    strategy_->tell(history_.back());
    refuse_hopeless();
    const auto told = static_cast<int64_t>(history_.size());
    if (told % options_.strategy.population == 0) close_generation(false);
    ask_if_due();
  }
  // A failure that was believed stays believed, although the strategy may never ask again; not so
  // where nothing has worked yet.
  const auto worked = [](const Evaluated& evaluated) { return evaluated.ok(); };
  if (failed && std::any_of(history_.begin(), history_.end(), worked)) {
    journal_.set_note("committed", std::to_string(history_.size()));
  }
}

void SearchController::report(Progress& progress) const {
  std::string note = "front " + std::to_string(archive_.size());
  if (rules_.accuracy) {
    note += "  best " + format_metric({MetricKind::Accuracy, ""}, best_accuracy_);
  }
  int64_t accuracies = 0;
  int64_t measured = 0;
  for (const auto& [index, trial] : pending_) {
    accuracies += trial.accuracy() ? 1 : 0;
    measured += static_cast<int64_t>(trial.measured());
  }
  if (!pending_.empty()) {
    note += "  of " + std::to_string(pending_.size()) + ": " + std::to_string(accuracies) +
            " accuracies, " + std::to_string(measured) + " latencies";
  }
  progress.update(static_cast<int64_t>(history_.size()), note);
}

void SearchController::refuse_hopeless() const {
  if (static_cast<int64_t>(history_.size()) != std::min(kHopeless, options_.strategy.population)) {
    return;
  }
  for (const Evaluated& evaluated : history_) {
    if (evaluated.ok()) return;
  }
  const Evaluated& last = history_.back();
  throw DeviceError("search: all of the first " + std::to_string(history_.size()) +
                    " candidates failed, the last one on " + last.failed_on + ": " +
                    to_string(last.failure->kind) + ": " + last.failure->message);
}

void SearchController::fix_reference() {
  if (!reference_.empty() || history_.empty()) return;
  Objectives worst(options_.problem.objectives.size(), 0.0);
  for (const Evaluated& evaluated : history_) {
    if (!evaluated.ok()) continue;
    const Objectives point = options_.problem.minimised(evaluated.metrics);
    for (size_t k = 0; k < worst.size(); ++k) worst[k] = std::max(worst[k], point[k]);
  }
  for (size_t k = 0; k < worst.size(); ++k) {
    const Metric& metric = options_.problem.objectives[k];
    const auto given = options_.reference.find(metric);
    if (given != options_.reference.end()) {
      worst[k] = to_minimised(metric, given->second);
    } else {
      worst[k] = worst[k] > 0.0 ? kReferenceMargin * worst[k] : 1.0;
      if (larger_is_better(metric.kind)) worst[k] = std::min(worst[k], 1.0);
    }
  }
  reference_ = worst;
  journal_.set_note("reference", nlohmann::json(reference_).dump());
}

void SearchController::close_generation(bool last) {
  const auto told = static_cast<int64_t>(history_.size());
  GenerationRecord record;
  record.index = (told + options_.strategy.population - 1) / options_.strategy.population - 1;
  const auto index = static_cast<size_t>(record.index);
  // A former process may have been here; what it wrote is right, its time too.
  if (generations_.size() > index && generations_[index].evaluations == told) return;
  Journal::Transaction transaction(journal_);
  fix_reference();
  record.evaluations = told;
  std::vector<Objectives> points;
  for (const ParetoArchive::Entry& entry : archive_.entries()) points.push_back(entry.point);
  if (!points.empty()) {
    record.hypervolume =
        hypervolume_fraction(points, reference_, Objectives(reference_.size(), 0.0));
  }
  record.front_size = static_cast<int64_t>(archive_.size());
  record.best_accuracy = best_accuracy_;
  record.seconds = seconds();
  generations_.resize(index);
  generations_.push_back(record);
  journal_.add(record);
  transaction.commit();
  log::info("generation " + std::to_string(record.index) + (last ? " (last)" : ""),
            {{"evaluations", std::to_string(told)},
             {"hypervolume", std::to_string(record.hypervolume)},
             {"front", std::to_string(record.front_size)}});
}

// Asking

bool SearchController::budget_left() const {
  if (proposer_.proposed() >= options_.budget.evaluations) return false;
  return options_.budget.board_time_s <= 0.0 || board_time_s_ < options_.budget.board_time_s;
}

void SearchController::ask_if_due() {
  const int64_t batch = batch_size(options_);
  while (!exhausted_ && budget_left() && !strategy_->waiting()) {
    const auto told = static_cast<int64_t>(history_.size());
    if (proposer_.proposed() - told > in_flight_ - batch) return;
    if (!ask()) return;
  }
}

bool SearchController::ask() {
  const int64_t left = options_.budget.evaluations - proposer_.proposed();
  const auto count = static_cast<size_t>(std::min(batch_size(options_), left));
  std::vector<CountedCandidate> asked = strategy_->ask(count);
  Journal::Transaction transaction(journal_);
  for (const CountedCandidate& counted : asked) {
    const Candidate& candidate = counted.candidate;
    journal_.add(Journal::Proposal{candidate.index, candidate.architecture, candidate.computation,
                                   candidate.structure, counted.counted,
                                   static_cast<int64_t>(history_.size())});
  }
  journal_.set_strategy_state(
      {proposer_.proposed(), static_cast<int64_t>(history_.size()), strategy_->save_state()});
  if (asked.size() < count && !strategy_->waiting()) {
    exhausted_ = true;
    journal_.set_note("exhausted", "1");
  }
  transaction.commit();
  const Rivals front = rivals();
  for (CountedCandidate& counted : asked) start(Trial(std::move(counted), rules_), front);
  return !asked.empty();
}

// The loop

double SearchController::seconds() const { return earlier_s_ + clock_.now_s() - started_s_; }

SearchOutcome SearchController::run(Progress& progress, const std::function<bool()>& stop) {
  started_s_ = clock_.now_s();
  progress.begin("search", options_.budget.evaluations, "candidate");
  bool stopping = false;
  ask_if_due();  // before anything is committed: a killed search may have been between two asks
  commit_ready();
  report(progress);
  while (!pending_.empty()) {
    if (!stopping && stop()) {
      stopping = true;
      queue_->stop_starting();
    }
    const bool may_wait = queue_->in_flight() || (!stopping && !queue_->fatal());
    if (!may_wait) break;
    const std::vector<EvaluationQueue::Finished> finished = queue_->poll();
    save_results(finished);
    if (!queue_->fatal()) commit_ready();
    if (!finished.empty()) report(progress);
  }
  if (queue_->fatal()) {
    progress.end();
    throw DeviceError(*queue_->fatal());
  }
  SearchOutcome outcome;
  outcome.complete = pending_.empty() && !stopping;
  const bool unfinished_generation =
      generations_.empty() ||
      generations_.back().evaluations != static_cast<int64_t>(history_.size());
  if (outcome.complete && !history_.empty() && unfinished_generation) close_generation(true);
  progress.end();
  finish(outcome);
  return outcome;
}

RacingReport SearchController::racing_report(const std::vector<Evaluated>& evaluated) const {
  RacingReport report;
  double full_s = 0.0;  // of one measurement on every device, summed
  double total_s = 0.0;
  int64_t measured = 0;
  for (const Evaluated& each : evaluated) {
    if (each.accuracy) report.images += each.accuracy->images;
    if (!each.ok()) continue;
    for (const auto& [device, spent_s] : each.board_s) total_s += spent_s;
    if (each.screened) {
      ++report.screened;
      if (each.accuracy && rules_.images > 0) {
        report.images_saved += rules_.images - each.accuracy->images;
      }
    } else {
      ++measured;
      for (const auto& [device, estimate] : each.latencies) full_s += estimate.wall_s;
    }
  }
  if (report.screened == 0 || measured == 0) return report;
  const auto count = static_cast<double>(measured + report.screened);
  report.board_time_saved_s = full_s / static_cast<double>(measured) * count - total_s;
  return report;
}

void SearchController::finish(SearchOutcome& outcome) {
  strategy_->add_findings(outcome);  // reads the history
  for (const int64_t id : archive_.ids()) outcome.front.push_back(static_cast<size_t>(id));
  outcome.racing = racing_report(history_);
  outcome.evaluated = std::move(history_);
  outcome.generations = generations_;
  outcome.reference = reference_;
  outcome.board_time_s = board_time_s_;
  outcome.seconds = seconds();
  outcome.exhausted = exhausted_;
}

}  // namespace lathe::search
