#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "search/evaluation/candidate.h"
#include "search/evaluation/problem.h"
#include "search/strategy/evaluation_queue.h"
#include "search/strategy/racing.h"

namespace lathe::search {

/// What the evaluations of a search have in common. Everything outlives its trials.
struct TrialRules {
  const Problem* problem = nullptr;
  std::vector<LatencyEvaluator*> devices;
  bool accuracy = false;  ///< is asked for
  int64_t images = 0;     ///< of the validation split; 0: not evaluated in parts
  std::vector<RaceStage> at_once;
  std::vector<RaceStage> race;
};

/// The points of the front against which a candidate races.
using Rivals = std::shared_ptr<const std::vector<Objectives>>;

/// The evaluation of one candidate, from its proposal to its commitment. Which stages it goes
/// through depends on its own results and its rivals only, never on the time at which they come.
/// Not thread-safe.
class Trial {
 public:
  /// Everything is evaluated at once.
  Trial(CountedCandidate counted, const TrialRules& rules);
  /// Lets it race, unless there is nothing that could stop it. Before go_on().
  void race(Rivals rivals);

  // Results, live or from the journal. A failure is final whatever its stage.
  void add_accuracy(Result<AccuracyEstimate> result) { accuracy_ = std::move(result); }
  /// Takes `sum` over the first `parts` parts; with the last one it is the accuracy.
  void add_parts(const AccuracyEstimate& sum, int64_t parts);
  void add_coarse(const std::string& device, latency::LatencyEstimate estimate);
  void add_latency(const std::string& device, Result<latency::LatencyEstimate> result);

  /// Goes through the stages whose results are in and hands what the next one lacks to `queue`,
  /// once.
  void go_on(EvaluationQueue& queue);
  /// Nothing more will be evaluated: complete, failed or stopped early.
  bool done() const { return done_; }

  const Candidate& candidate() const { return counted_.candidate; }
  const std::optional<Result<AccuracyEstimate>>& accuracy() const { return accuracy_; }
  /// Over the parts so far; nothing before the first.
  const std::optional<AccuracyEstimate>& parts_sum() const { return sum_; }
  int64_t parts() const { return parts_; }
  size_t measured() const { return latencies_.size(); }

  /// The candidate with all that is known; `screened` if neither complete nor failed.
  Evaluated assemble() &&;

 private:
  bool failed() const;
  bool complete() const;
  bool is_in(const RaceStage& stage, size_t position) const;
  bool decided() const;
  void enqueue(EvaluationQueue& queue);

  CountedCandidate counted_;
  const TrialRules* rules_;
  Rivals rivals_;
  const std::vector<RaceStage>* stages_;
  size_t stage_ = 0;
  bool enqueued_ = false;  ///< what the stage lacks
  bool done_ = false;
  std::optional<Result<AccuracyEstimate>> accuracy_;
  std::optional<AccuracyEstimate> sum_;
  int64_t parts_ = 0;
  std::map<std::string, latency::LatencyEstimate> coarse_;
  std::map<std::string, Result<latency::LatencyEstimate>> latencies_;
};

}  // namespace lathe::search
