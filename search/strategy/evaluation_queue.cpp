#include "search/strategy/evaluation_queue.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/log.h"

namespace lathe::search {
namespace {

constexpr std::chrono::milliseconds kWait{10};
constexpr double kLongestSleepS = 0.2;  // so that a wish to stop is heard
constexpr int kAttemptsOfDoubtful = 2;

/// A moment's trouble of the device: nothing is said about the candidate.
bool is_transient(FailureKind kind) {
  return kind == FailureKind::Unavailable || kind == FailureKind::Busy;
}
/// May be the device's or the candidate's fault: tried once more, then believed.
bool is_doubtful(FailureKind kind) {
  return kind == FailureKind::DeadlineExceeded || kind == FailureKind::Internal;
}
bool is_fatal(FailureKind kind) {
  return kind == FailureKind::Unauthorized || kind == FailureKind::Cancelled;
}

template <typename T>
bool is_ready(const std::future<T>& future) {
  return future.wait_for(std::chrono::seconds(0)) != std::future_status::timeout;
}

std::string describe(const Failure& failure) {
  return std::string(to_string(failure.kind)) + ": " + failure.message;
}

void check(const Candidate& candidate, const AccuracyEstimate& estimate) {
  if (!(estimate.top1 >= 0.0 && estimate.top1 <= 1.0) || !(estimate.standard_error >= 0.0)) {
    throw InvariantError("accuracy of candidate " + std::to_string(candidate.index) +
                         ": top1 = " + std::to_string(estimate.top1) +
                         ", standard error = " + std::to_string(estimate.standard_error) +
                         ", expected a fraction in [0, 1] and a number of at least 0");
  }
}

void check(const Candidate& candidate, const std::string& device,
           const latency::MeasurementPlan& plan, const latency::LatencyEstimate& estimate) {
  if (plan.energy_s > 0.0 && !estimate.energy) {
    throw InvariantError("energy@" + device + " of candidate " + std::to_string(candidate.index) +
                         ": absent, expected a device that measures what its plan asks for");
  }
  const bool valid = std::isfinite(estimate.median_ms) && estimate.median_ms > 0.0 &&
                     !std::isnan(estimate.interval_ms.low) &&
                     !std::isnan(estimate.interval_ms.high);
  if (!valid) {
    throw InvariantError("latency@" + device + " of candidate " + std::to_string(candidate.index) +
                         ": median = " + std::to_string(estimate.median_ms) + " ms in [" +
                         std::to_string(estimate.interval_ms.low) + ", " +
                         std::to_string(estimate.interval_ms.high) +
                         "], expected a positive number and an interval");
  }
}

}  // namespace

EvaluationQueue::EvaluationQueue(AccuracyEvaluator* accuracy,
                                 std::vector<LatencyEvaluator*> devices, const Options& options,
                                 Clock& clock)
    : accuracy_(accuracy), devices_(std::move(devices)), options_(options), clock_(clock) {}

EvaluationQueue::~EvaluationQueue() {
  if (accuracy_future_.valid()) accuracy_future_.wait();
  for (const Job& job : running_) {
    if (job.future.valid()) job.future.wait();
  }
}

void EvaluationQueue::add_accuracy(const Candidate& candidate, std::optional<ImageRange> part) {
  if (accuracy_ == nullptr) {
    throw InvariantError("EvaluationQueue: no accuracy evaluator, expected one");
  }
  accuracy_due_.push_back({candidate, part});
}

void EvaluationQueue::add_measurement(const Candidate& candidate, const std::string& device,
                                      std::optional<latency::MeasurementPlan> plan) {
  for (LatencyEvaluator* evaluator : devices_) {
    if (evaluator->device() != device) continue;
    Job job;
    job.candidate = candidate;
    job.device = evaluator;
    job.plan = std::move(plan);
    due_.push_back(std::move(job));
    return;
  }
  throw InvariantError("EvaluationQueue: device = " + device + ", expected one of the search's");
}

bool EvaluationQueue::host_busy() const {
  return std::any_of(running_.begin(), running_.end(),
                     [](const Job& job) { return job.device->shares_host(); });
}

/// The first ones that are due on the same images as the first.
void EvaluationQueue::take_accuracy_batch() {
  accuracy_part_ = accuracy_due_.front().part;
  accuracy_batch_.clear();
  std::deque<Due> later;
  for (Due& due : accuracy_due_) {
    const bool fits = accuracy_batch_.size() < static_cast<size_t>(options_.accuracy_batch);
    if (fits && due.part == accuracy_part_) {
      accuracy_batch_.push_back(std::move(due.candidate));
    } else {
      later.push_back(std::move(due));
    }
  }
  accuracy_due_ = std::move(later);
}

void EvaluationQueue::start_accuracy() {
  if (accuracy_running_ || accuracy_due_.empty()) return;
  if (host_busy()) return;
  take_accuracy_batch();
  accuracy_future_ = std::async(std::launch::async, [this] {
    if (!accuracy_part_) return accuracy_->evaluate(accuracy_batch_, no_progress());
    return accuracy_->evaluate_part(accuracy_batch_, *accuracy_part_, no_progress());
  });
  accuracy_running_ = true;
}

void EvaluationQueue::start_measurements() {
  const bool host_taken = accuracy_running_ || !accuracy_due_.empty();
  bool host_free = !host_taken && !host_busy();
  const double now = clock_.now_s();
  for (auto job = due_.begin(); job != due_.end();) {
    const bool on_host = job->device->shares_host();
    if (job->not_before_s > now || (on_host && !host_free)) {
      ++job;
      continue;
    }
    if (on_host) host_free = false;
    const latency::MeasurementPlan& plan = job->plan ? *job->plan : job->device->default_plan();
    job->future = job->device->measure(job->candidate, plan);
    running_.push_back(std::move(*job));
    job = due_.erase(job);
  }
}

void EvaluationQueue::wait_a_moment() {
  if (accuracy_running_ && is_ready(accuracy_future_)) return;
  for (const Job& job : running_) {
    if (is_ready(job.future)) return;
  }
  if (!running_.empty()) {
    running_.front().future.wait_for(kWait);
  } else if (accuracy_running_) {
    accuracy_future_.wait_for(kWait);
  } else if (!due_.empty()) {
    double next = due_.front().not_before_s;
    for (const Job& job : due_) next = std::min(next, job.not_before_s);
    const double left = next - clock_.now_s();
    if (left > 0.0) clock_.sleep_s(std::min(left, kLongestSleepS));
  }
}

void EvaluationQueue::collect_accuracy(std::vector<Finished>& finished) {
  if (!accuracy_running_ || !is_ready(accuracy_future_)) return;
  accuracy_running_ = false;
  std::vector<Result<AccuracyEstimate>> results = accuracy_future_.get();
  if (results.size() != accuracy_batch_.size()) {
    throw InvariantError("accuracy evaluator: " + std::to_string(results.size()) +
                         " results, expected " + std::to_string(accuracy_batch_.size()));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i]) check(accuracy_batch_[i], *results[i]);
    Finished done;
    done.index = accuracy_batch_[i].index;
    done.partial = accuracy_part_.has_value();
    done.accuracy = std::move(results[i]);
    finished.push_back(std::move(done));
  }
}

void EvaluationQueue::set_fatal(const std::string& reason) {
  if (!fatal_) fatal_ = reason;
}

bool EvaluationQueue::settle(Job& job, const Result<latency::LatencyEstimate>& result) {
  const std::string& device = job.device->device();
  if (result) {
    check(job.candidate, device, job.plan ? *job.plan : job.device->default_plan(), *result);
    if (result->verdict != latency::Verdict::InvalidTiming) return true;
    set_fatal("device " + device + ": candidate " + std::to_string(job.candidate.index) +
              ": verdict = invalid timing (an emulated or otherwise unreal clock), expected a real "
              "board's latency");
    return false;
  }
  const Failure& failure = result.failure();
  ++job.attempts;
  if (is_fatal(failure.kind)) {
    set_fatal("device " + device + ": " + describe(failure));
    return false;
  }
  const int allowed = is_transient(failure.kind)  ? options_.retry.attempts
                      : is_doubtful(failure.kind) ? kAttemptsOfDoubtful
                                                  : 1;
  if (job.attempts >= allowed) {
    if (!is_transient(failure.kind)) return true;
    set_fatal("device " + device + ": candidate " + std::to_string(job.candidate.index) +
              " failed " + std::to_string(job.attempts) +
              " times, the last one: " + describe(failure) +
              ". Nothing is lost: run the same command again when the device answers");
    return false;
  }
  const double wait = std::min(options_.retry.longest_wait_s,
                               options_.retry.first_wait_s * std::pow(2.0, job.attempts - 1));
  log::warning("device " + device + ": " + describe(failure) + "; candidate " +
               std::to_string(job.candidate.index) + " is tried again in " + format_duration(wait));
  job.not_before_s = clock_.now_s() + wait;
  due_.push_front(std::move(job));
  return false;
}

void EvaluationQueue::collect_measurements(std::vector<Finished>& finished) {
  for (size_t i = 0; i < running_.size();) {
    if (!is_ready(running_[i].future)) {
      ++i;
      continue;
    }
    Job job = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    Finished done;
    done.index = job.candidate.index;
    done.device = job.device->device();
    done.partial = job.plan.has_value();
    done.latency = job.future.get();
    if (settle(job, *done.latency)) finished.push_back(std::move(done));
  }
}

std::vector<EvaluationQueue::Finished> EvaluationQueue::poll() {
  if (starting_ && !fatal_) {
    start_accuracy();
    start_measurements();
  }
  if (!fatal_ || in_flight()) wait_a_moment();
  std::vector<Finished> finished;
  collect_accuracy(finished);
  collect_measurements(finished);
  return finished;
}

}  // namespace lathe::search
