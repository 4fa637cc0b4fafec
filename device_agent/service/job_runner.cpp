#include "device_agent/service/job_runner.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace lathe::device {

namespace {

constexpr size_t kMaxQueued = 256;
constexpr size_t kMaxRemembered = 2000;

}  // namespace

// Guarded by the runner's mutex, except `job`, which does not change.
struct JobRunner::Record {
  MeasureJob job;
  std::shared_ptr<Task> task;
  std::vector<std::shared_ptr<MeasureObserver>> observers;
  std::optional<v1::MeasureProgress> progress;
  std::optional<Result<v1::LatencyResult>> outcome;
};

JobRunner::JobRunner(const AgentSettings& settings)
    : driver_(settings), thread_([this] { run(); }) {}

JobRunner::~JobRunner() { stop(0.0); }

JobRunner::Answer JobRunner::measure(const MeasureJob& job,
                                     const std::shared_ptr<MeasureObserver>& observer) {
  std::optional<Result<v1::LatencyResult>> outcome;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return Answer::Stopping;
    auto found = records_.find(job.id);
    if (found != records_.end() && found->second->job.identity != job.identity)
      return Answer::Conflict;
    if (found == records_.end()) {
      if (queue_.size() >= kMaxQueued) return Answer::Full;
      auto record = std::make_shared<Record>();
      record->job = job;
      record->task = std::make_shared<Task>(
          Task{job.lease_id, std::make_shared<Cancellation>(), record, nullptr});
      queue_.push_back(record->task);
      found = records_.emplace(job.id, std::move(record)).first;
      changed_.notify_all();
    }
    Record& record = *found->second;
    outcome = record.outcome;
    if (!outcome) {
      record.task->lease_id = job.lease_id;
      record.observers.push_back(observer);
      if (record.progress) observer->on_progress(*record.progress);
    }
  }
  if (outcome) observer->on_outcome(*outcome);
  return Answer::Accepted;
}

void JobRunner::detach(const std::string& job_id, const MeasureObserver* observer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = records_.find(job_id);
  if (found == records_.end()) return;
  auto& observers = found->second->observers;
  observers.erase(std::remove_if(observers.begin(), observers.end(),
                                 [&](const auto& other) { return other.get() == observer; }),
                  observers.end());
}

JobRunner::Answer JobRunner::post(const std::string& lease_id,
                                  const std::shared_ptr<Cancellation>& cancellation, Work work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return Answer::Stopping;
  if (queue_.size() >= kMaxQueued) return Answer::Full;
  queue_.push_back(std::make_shared<Task>(Task{lease_id, cancellation, nullptr, std::move(work)}));
  changed_.notify_all();
  return Answer::Accepted;
}

void JobRunner::cancel_lease(const std::string& lease_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (current_ != nullptr && current_->lease_id == lease_id) current_->cancellation->cancel();
  for (const auto& task : queue_) {
    if (task->lease_id == lease_id) task->cancellation->cancel();
  }
}

void JobRunner::stop(double limit_s) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::duration<double>(limit_s),
                      [this] { return current_ == nullptr && queue_.empty(); });
    if (current_ != nullptr) current_->cancellation->cancel();
    for (const auto& task : queue_) task->cancellation->cancel();
  }
  if (thread_.joinable()) thread_.join();
}

uint64_t JobRunner::jobs_done() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return jobs_done_;
}

void JobRunner::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    current_ = queue_.front();
    queue_.pop_front();
    const std::shared_ptr<Task> task = current_;
    lock.unlock();
    carry_out(*task);
    lock.lock();
    current_.reset();
    changed_.notify_all();
  }
}

void JobRunner::carry_out(Task& task) {
  if (task.record == nullptr) {
    task.work(driver_, *task.cancellation);
    const std::lock_guard<std::mutex> lock(mutex_);
    ++jobs_done_;
    return;
  }
  const std::shared_ptr<Record> record = std::move(task.record);
  measure_now(*record, *task.cancellation);
}

void JobRunner::measure_now(Record& record, const Cancellation& cancellation) {
  const auto progress = [&](const v1::MeasureProgress& message) {
    std::vector<std::shared_ptr<MeasureObserver>> observers;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      record.progress = message;
      observers = record.observers;
    }
    for (const auto& observer : observers) observer->on_progress(message);
  };
  // Nothing escapes the thread: what the driver did not foresee is a failure of this job.
  std::optional<Result<v1::LatencyResult>> outcome;
  try {
    if (cancellation.cancelled()) {
      outcome = Failure{FailureKind::Cancelled, "the job was cancelled"};
    } else {
      outcome = driver_.measure(record.job.spec, record.job.plan, progress, cancellation);
    }
  } catch (const std::exception& error) {
    outcome = Failure{FailureKind::Internal, std::string("measure: ") + error.what()};
  }
  std::vector<std::shared_ptr<MeasureObserver>> observers;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    record.outcome = outcome;
    ++jobs_done_;
    record.job.spec.model.reset();  // an outcome is small: neither model nor task stays with it
    record.task.reset();
    observers.swap(record.observers);
    remember(record);  // before anybody is told: the id may be asked for again at once
  }
  for (const auto& observer : observers) observer->on_outcome(*outcome);
}

// A cancelled job has no outcome worth keeping: its id may be run again. Called under the lock.
void JobRunner::remember(const Record& record) {
  const std::string id = record.job.id;
  if (!record.outcome->ok() && record.outcome->failure().kind == FailureKind::Cancelled) {
    records_.erase(id);
    return;
  }
  finished_.push_back(id);
  if (finished_.size() <= kMaxRemembered) return;
  records_.erase(finished_.front());
  finished_.pop_front();
}

}  // namespace lathe::device
