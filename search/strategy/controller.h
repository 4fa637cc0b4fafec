#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/progress.h"
#include "core/rng.h"
#include "search/archive/journal.h"
#include "search/archive/pareto_archive.h"
#include "search/evaluation/candidate.h"
#include "search/evaluation/evaluators.h"
#include "search/space/search_space.h"
#include "search/strategy/evaluation_queue.h"
#include "search/strategy/learned_metrics.h"
#include "search/strategy/proposer.h"
#include "search/strategy/scaling_family.h"
#include "search/strategy/search_options.h"
#include "search/strategy/strategy.h"
#include "search/strategy/trial.h"

namespace lathe::search {

/// What racing saved.
struct RacingReport {
  int64_t screened = 0;      ///< candidates that were stopped early
  int64_t images = 0;        ///< validation images that were evaluated, summed over candidates
  int64_t images_saved = 0;  ///< that the screened ones did not need
  /// Board time that measuring the screened ones fully would have taken, by the mean of the others,
  /// less all coarse measurements.
  double board_time_saved_s = 0.0;
};

struct SearchOutcome {
  std::vector<Evaluated> evaluated;  ///< in order of index
  /// Indices into `evaluated` of the feasible candidates that no other feasible one dominates,
  /// increasing. Empty if none is feasible.
  std::vector<size_t> front;
  std::vector<GenerationRecord> generations;
  Objectives reference;  ///< of the hypervolume, minimised; empty until the first generation is in
  double board_time_s = 0.0;  ///< of the committed candidates, summed over the devices
  RacingReport racing;
  double seconds = 0.0;    ///< of search, summed over resumes
  bool complete = false;   ///< false: stopped before the budget was used
  bool exhausted = false;  ///< the strategy has no further network: the space (within the counted
                           ///< constraints) has none, or its plan is carried out
  std::optional<ScalingFamily> scaling;  ///< of compound_scaling
  std::vector<LearnedMetric> learned;    ///< how the strategy's models did; empty if it has none
};

/// Runs a search from wherever its journal stands: asks the strategy, evaluates, commits in order
/// of index, and writes every step to the journal before the next one depends on it. Killed at any
/// moment, a new controller on the same journal goes on; with equal measurements the outcome is
/// that of an uninterrupted search. Not thread-safe.
class SearchController {
 public:
  /// Only devices that an objective or constraint names are measured; the others are ignored.
  /// Everything must outlive the controller. \throws ConfigError if a metric's device is not among
  /// `devices`, a metric cannot be measured, a constraint cannot be met, or the journal was started
  /// with other options. \throws DataError if the journal does not fit the space.
  SearchController(const SearchSpace& space, AccuracyEvaluator& accuracy,
                   std::vector<LatencyEvaluator*> devices, const SearchOptions& options,
                   Journal& journal, uint64_t seed, Clock& clock = steady_clock());
  ~SearchController();

  /// Searches until the budget is used, the space is exhausted, or `stop` returns true (then what
  /// is in flight is finished and saved). Call it once. \throws DeviceError if a device cannot be
  /// used any more, or every candidate of the first ten fails; the journal keeps all that is
  /// finished.
  SearchOutcome run(Progress& progress, const std::function<bool()>& stop);

 private:
  void check_options() const;
  void bind_journal(uint64_t seed);
  int64_t flight_limit();
  void make_rules(const AccuracyEvaluator& accuracy);
  void restore();
  CountedCandidate restore_candidate(const Journal::Proposal& proposal, bool committed) const;
  void restore_results(std::vector<Trial>& trials);
  void check_committed(const Evaluated& evaluated) const;
  Rivals rivals() const;
  void save_result(const EvaluationQueue::Finished& done, Trial& trial);
  void start(Trial trial, const Rivals& rivals);
  void remember(Evaluated evaluated);
  void save_results(const std::vector<EvaluationQueue::Finished>& finished);
  void commit_ready();
  void report(Progress& progress) const;
  void close_generation(bool last);
  void ask_if_due();
  bool ask();
  bool budget_left() const;
  void fix_reference();
  void refuse_hopeless() const;
  double seconds() const;
  RacingReport racing_report(const std::vector<Evaluated>& evaluated) const;
  void finish(SearchOutcome& outcome);

  const SearchSpace& space_;
  SearchOptions options_;
  std::vector<LatencyEvaluator*> devices_;
  Journal& journal_;
  Clock& clock_;
  TrialRules rules_;
  int64_t in_flight_ = 0;  ///< at most

  std::vector<Evaluated> history_;
  Proposer proposer_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<EvaluationQueue> queue_;
  std::map<int64_t, Trial> pending_;  ///< asked and not committed
  ParetoArchive archive_;
  std::vector<GenerationRecord> generations_;
  Objectives reference_;
  double best_accuracy_ = 0.0;
  double board_time_s_ = 0.0;
  bool exhausted_ = false;
  double earlier_s_ = 0.0;  ///< of former processes
  double started_s_ = 0.0;
};

}  // namespace lathe::search
