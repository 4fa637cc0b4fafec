#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/progress.h"
#include "core/result.h"
#include "search/evaluation/evaluators.h"
#include "search/strategy/search_options.h"

namespace lathe::search {

/// Runs accuracy evaluations and measurements of candidates, side by side where they do not disturb
/// each other: accuracy is computed batch by batch in a thread of its own; devices of their own
/// measure at once; a device that shares this machine measures one candidate at a time, and only
/// while no accuracy is due (experiments/measurement: turns measure cleaner than a reserved core).
/// A device that cannot be reached is asked again with doubling waits. Not thread-safe.
class EvaluationQueue {
 public:
  struct Options {
    int64_t accuracy_batch = 10;
    RetryOptions retry;
  };
  /// What has ended: accuracy if `device` is empty, else the measurement on it.
  struct Finished {
    int64_t index = 0;
    std::string device;
    bool partial = false;  ///< of a part of the images, or by a plan that is not the device's own
    std::optional<Result<AccuracyEstimate>> accuracy;
    std::optional<Result<latency::LatencyEstimate>> latency;
  };

  /// `accuracy` may be null if none is asked for. Everything must outlive the queue.
  EvaluationQueue(AccuracyEvaluator* accuracy, std::vector<LatencyEvaluator*> devices,
                  const Options& options, Clock& clock);
  /// Waits for what is in flight.
  ~EvaluationQueue();
  EvaluationQueue(const EvaluationQueue&) = delete;
  EvaluationQueue& operator=(const EvaluationQueue&) = delete;

  /// On a part of the images, or on all of them.
  void add_accuracy(const Candidate& candidate, std::optional<ImageRange> part = std::nullopt);
  /// By `plan`, or by the device's own. \throws InvariantError if no device has this name.
  void add_measurement(const Candidate& candidate, const std::string& device,
                       std::optional<latency::MeasurementPlan> plan = std::nullopt);

  /// Starts what may start, waits a moment if nothing is ready, and returns what has ended.
  /// \throws InvariantError for results that no evaluator may give (NaN, another number of
  /// results), and what the evaluators throw.
  std::vector<Finished> poll();

  /// No more work is started; poll() still returns what is in flight.
  void stop_starting() { starting_ = false; }
  bool in_flight() const { return accuracy_running_ || !running_.empty(); }
  bool idle() const { return !in_flight() && accuracy_due_.empty() && due_.empty(); }
  /// Set when a device cannot be used any more: the reason, for a DeviceError once nothing is in
  /// flight.
  const std::optional<std::string>& fatal() const { return fatal_; }

 private:
  struct Job {
    Candidate candidate;
    LatencyEvaluator* device = nullptr;
    std::optional<latency::MeasurementPlan> plan;
    int attempts = 0;
    double not_before_s = 0.0;
    std::future<Result<latency::LatencyEstimate>> future;
  };
  struct Due {
    Candidate candidate;
    std::optional<ImageRange> part;
  };
  void start_accuracy();
  void take_accuracy_batch();
  void start_measurements();
  void wait_a_moment();
  void collect_accuracy(std::vector<Finished>& finished);
  void collect_measurements(std::vector<Finished>& finished);
  /// Returns whether the result counts; if not, the job is due again or the queue is fatal.
  bool settle(Job& job, const Result<latency::LatencyEstimate>& result);
  void set_fatal(const std::string& reason);  ///< the first reason counts
  bool host_busy() const;

  AccuracyEvaluator* accuracy_;
  std::vector<LatencyEvaluator*> devices_;
  Options options_;
  Clock& clock_;
  bool starting_ = true;
  std::optional<std::string> fatal_;

  std::deque<Due> accuracy_due_;
  std::vector<Candidate> accuracy_batch_;
  std::optional<ImageRange> accuracy_part_;  ///< of the batch
  std::future<std::vector<Result<AccuracyEstimate>>> accuracy_future_;
  bool accuracy_running_ = false;

  std::deque<Job> due_;
  std::deque<Job> running_;
};

}  // namespace lathe::search
