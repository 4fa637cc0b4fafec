#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/rng.h"
#include "latency/measurement/block.h"
#include "latency/measurement/estimator.h"
#include "latency/measurement/latency_estimate.h"
#include "latency/measurement/steady_state.h"

namespace lathe::latency {

struct SessionOptions {
  MeasurementPlan plan;
  double reference_s = 0.0;  ///< calibrated seconds of the reference network on this board
  ProcessVariance process_variance;
  DriftVariance drift;
  BlockLimits limits;
  bool invalid_timing = false;  ///< an emulated clock: the verdict is always InvalidTiming
  /// More than this: on while the budget lasts, in the end Disturbed (or Throttled).
  double max_rejected_fraction = 0.5;
  double max_reference_drift =
      0.15;  ///< the reference ran this much off its calibrated time, relative: Disturbed
};

/// What the driver does next.
struct Step {
  enum class Kind {
    StartProcess,  ///< start a fresh worker, load and warm up both networks, call begin_process()
    Blocks,        ///< run `blocks` in this order in the current worker, feed() each
    Finish,        ///< stop the worker, call result()
  };
  Kind kind = Kind::Finish;
  std::vector<BlockPlan> blocks;
};

/// One latency measurement as a state machine without clocks or processes: the driver does what
/// next() says and reports back, with the seconds since the session began. Works through
/// plan.processes fresh worker processes and adds further ones while the interval is too wide
/// because processes differ. Not thread-safe.
///
/// A sustained measurement (plan.sustain_s) first heats the board, by blocks in which the candidate
/// runs for a second, and then takes the candidate's own times: by the ratio to the
/// reference, which a hot board slows as much, throttling would not show. The first process heats
/// until the board is steady, which counts neither as blocks nor as budget.
///
///   while ((step = session.next()).kind != Step::Kind::Finish) { ... begin_process() or feed() ...
///   }
class MeasurementSession {
 public:
  /// \throws InvariantError if the plan or the reference time is out of range.
  explicit MeasurementSession(const SessionOptions& options);

  Step next();

  /// The worker is warm: seconds of one inference of both networks (WarmUp::inference_s).
  void begin_process(double candidate_s, double reference_s, double elapsed_s);
  /// The candidate's weights, of which its drift depends. Default: none.
  void set_weight_bytes(int64_t bytes) { weight_bytes_ = bytes; }
  /// One block was run. A block that is disturbed is counted and kept apart.
  void feed(const Block& block, double elapsed_s);

  // Progress, at any time after the first block.
  int64_t kept() const { return kept_; }
  int64_t rejected() const { return rejected_; }
  int processes() const { return static_cast<int>(kept_ratios_.size()); }
  double median_ms() const;  ///< 0 before the first block
  /// Of the interval as far as more blocks and processes reduce it, relative; 1 before the first
  /// block. The result's interval holds the drift as well.
  double half_width() const;

  /// The estimate so far. Conditions and peak memory are the driver's to fill in, except
  /// conditions.extra: reasons of rejection ("rejected.preempted": "3"), "reference_drift", and
  /// "drift_half_width", the part of the interval that minutes of drift account for. If
  /// fewer than half of min_blocks were kept, the disturbed blocks count as well, and the verdict
  /// says so. \throws InvariantError if no block was fed.
  LatencyEstimate result() const;
  /// Milliseconds of one inference in each kept block, in time order, at the reference's calibrated
  /// speed.
  std::vector<double> block_ms() const;
  /// Whether the reference network runs at another speed than it was calibrated at, beyond
  /// max_reference_drift; never in a sustained measurement, which heats the board.
  bool reference_has_moved() const;
  /// The board's process variance with this session's evidence added: for the next session.
  ProcessVariance learned_variance() const;

 private:
  bool enough_kept() const;
  bool mostly_rejected() const;
  const std::vector<std::vector<double>>& counted_ratios() const;
  RatioEstimate estimate() const;
  double drift_half_width() const;
  double half_width_with_drift(const RatioEstimate& estimate) const;
  double reachable_half_width() const;
  bool process_is_done() const;
  bool sustained() const { return options_.plan.sustain_s > 0.0; }
  bool heating() const;
  void feed_heat(const Block& block, double elapsed_s);
  BlockFault fault_of(const Block& block) const;
  Verdict verdict(const RatioEstimate& estimate) const;
  double reference_drift() const;
  std::vector<BlockPlan> plan_blocks();

  SessionOptions options_;
  Interleaving interleaving_;
  std::vector<std::vector<double>> kept_ratios_;  ///< log ratios by process
  std::vector<std::vector<double>> all_ratios_;   ///< disturbed ones included
  std::vector<double> reference_times_s_;         ///< of all blocks
  std::map<BlockFault, int64_t> faults_;
  int64_t weight_bytes_ = 0;
  int64_t kept_ = 0;
  int64_t rejected_ = 0;
  int64_t process_blocks_ = 0;  ///< kept in the current process
  double candidate_s_ = 0.0;    ///< of one inference in the current process
  double reference_s_ = 0.0;
  SteadyState steady_;      ///< of the first process
  double heated_s_ = 0.0;   ///< until then
  double elapsed_s_ = 0.0;  ///< without heating
  double process_start_s_ = 0.0;
  double start_cost_s_ = 0.0;  ///< of the last process: spawn, load and warm-up
};

}  // namespace lathe::latency
