#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "search/strategy/controller.h"

// What a controller takes over from its journal.

namespace lathe::search {
namespace {

double number_in(Journal& journal, const char* note) {
  const std::optional<std::string> text = journal.note(note);
  if (!text) return 0.0;
  try {
    return std::stod(*text);
  } catch (const std::exception&) {
    throw DataError(std::string("search journal: note ") + note + " = " + *text +
                    ", expected a number");
  }
}

}  // namespace

void SearchController::restore_results(std::vector<Trial>& trials) {
  const auto at = [&](int64_t index, const char* what) -> Trial& {
    if (index < 0 || index >= static_cast<int64_t>(trials.size())) {
      throw DataError(std::string("search journal: ") + what + " of candidate " +
                      std::to_string(index) + ", expected a proposal of that index");
    }
    return trials[static_cast<size_t>(index)];
  };
  for (const Journal::PartialAccuracy& partial : journal_.partial_accuracies()) {
    at(partial.index, "partial accuracy")
        .add_parts(accuracy_estimate(partial.correct, partial.images), partial.parts);
  }
  for (Journal::Accuracy& accuracy : journal_.accuracies()) {
    at(accuracy.index, "accuracy").add_accuracy(std::move(accuracy.result));
  }
  for (Journal::CoarseMeasurement& coarse : journal_.coarse_measurements()) {
    at(coarse.index, "coarse measurement").add_coarse(coarse.device, std::move(coarse.estimate));
  }
  for (Journal::Measurement& measurement : journal_.measurements()) {
    at(measurement.index, "measurement")
        .add_latency(measurement.device, std::move(measurement.result));
  }
}

CountedCandidate SearchController::restore_candidate(const Journal::Proposal& proposal,
                                                     bool committed) const {
  CountedCandidate counted;
  if (committed) {
    counted.candidate = {proposal.index, proposal.architecture, nullptr, proposal.computation,
                         proposal.structure};
    counted.counted = proposal.counted;
    return counted;
  }
  counted = make_candidate(space_, proposal.architecture, proposal.index);
  if (counted.candidate.computation != proposal.computation) {
    throw DataError("search journal: candidate " + std::to_string(proposal.index) + " = " +
                    proposal.architecture.to_string() +
                    " is another network in this space than when it was proposed");
  }
  return counted;
}

/// Values are missing only where a candidate failed or was stopped early.
void SearchController::check_committed(const Evaluated& evaluated) const {
  if (!evaluated.ok()) return;
  bool whole = races(options_) || !evaluated.screened;
  for (const Metric& metric : options_.problem.metrics()) {
    whole = whole && evaluated.metrics.count(metric) != 0;
  }
  if (whole) return;
  throw DataError("search journal: candidate " + std::to_string(evaluated.candidate.index) +
                  " was committed without all its values");
}

void SearchController::restore() {
  const std::vector<Journal::Proposal> proposals = journal_.proposals();
  const std::optional<Journal::StrategyState> state = journal_.strategy_state();
  earlier_s_ = number_in(journal_, "elapsed_s");
  exhausted_ = journal_.note("exhausted").has_value();
  generations_ = journal_.generations();
  if (const auto text = journal_.note("reference")) {
    reference_ = nlohmann::json::parse(*text).get<Objectives>();
  }
  if (proposals.empty()) return;
  const auto count = static_cast<int64_t>(proposals.size());
  if (!state || state->asked != count || state->told > count) {
    throw DataError("search journal: the strategy's state is not that of its " +
                    std::to_string(count) + " proposals");
  }
  // What failed and was not committed may have failed for a reason that is mended by now. (The
  // strategy's state is as old as its last question; more may have been committed since.)
  const auto settled = static_cast<int64_t>(number_in(journal_, "committed"));
  journal_.forget_failures(std::max(state->told, settled));
  std::vector<Trial> trials;
  trials.reserve(proposals.size());
  std::map<int64_t, Rivals> rivals_at;
  for (const Journal::Proposal& proposal : proposals) {
    const bool committed = proposal.index < state->told;
    trials.emplace_back(restore_candidate(proposal, committed), rules_);
    if (!committed) rivals_at.emplace(proposal.told, nullptr);
    proposer_.restore(proposal.index, proposal.architecture, proposal.computation);
  }
  restore_results(trials);
  for (int64_t index = 0; index < count; ++index) {
    Trial& trial = trials[static_cast<size_t>(index)];
    const auto told = static_cast<int64_t>(history_.size());
    if (const auto at = rivals_at.find(told); at != rivals_at.end()) at->second = rivals();
    if (index < state->told) {
      Evaluated evaluated = std::move(trial).assemble();
      check_committed(evaluated);
      remember(std::move(evaluated));
      continue;
    }
    start(std::move(trial), rivals_at.at(proposals[static_cast<size_t>(index)].told));
  }
  strategy_->load_state(state->text);
}

}  // namespace lathe::search
