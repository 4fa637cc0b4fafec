#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device_agent/service/job_driver.h"

namespace lathe::device {

/// Who is told about a measurement. Called from the runner's thread, or at once from submit for a
/// finished job.
class MeasureObserver {
 public:
  virtual ~MeasureObserver() = default;
  virtual void on_progress(const v1::MeasureProgress& progress) = 0;
  virtual void on_outcome(const Result<v1::LatencyResult>& outcome) = 0;
};

/// Runs jobs one after the other on a thread of its own and remembers the outcomes of measurements
/// by job id. stop() or destruction cancels what is left; every observer and callback is called
/// before it returns. Thread-safe.
class JobRunner {
 public:
  enum class Answer {
    Accepted,
    Conflict,  ///< the job id is known for another request
    Full,
    Stopping,
  };
  struct MeasureJob {
    std::string id;
    std::string identity;  ///< the same id has to come with the same identity
    std::string lease_id;
    JobSpec spec;
    latency::MeasurementPlan plan;
  };
  using Work = std::function<void(JobDriver&, const Cancellation&)>;

  explicit JobRunner(const AgentSettings& settings);
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  /// Starts the job, joins it if it is in flight, or hands out its stored outcome.
  Answer measure(const MeasureJob& job, const std::shared_ptr<MeasureObserver>& observer);
  /// The observer has gone. The job goes on for those who join later.
  void detach(const std::string& job_id, const MeasureObserver* observer);
  /// Runs `work` once, always: a cancelled one sees its cancellation set.
  Answer post(const std::string& lease_id, const std::shared_ptr<Cancellation>& cancellation,
              Work work);
  /// Cancels the jobs that were submitted, or joined last, under this lease.
  void cancel_lease(const std::string& lease_id);

  /// Takes nothing new, waits at most `limit_s` for what runs, then cancels.
  void stop(double limit_s);
  uint64_t jobs_done() const;

 private:
  struct Record;
  struct Task {
    std::string lease_id;
    std::shared_ptr<Cancellation> cancellation;
    std::shared_ptr<Record> record;  ///< of a measurement; null: `work`
    Work work;
  };
  void run();
  void carry_out(Task& task);
  void measure_now(Record& record, const Cancellation& cancellation);
  void remember(const Record& record);

  JobDriver driver_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Task>> queue_;
  std::shared_ptr<Task> current_;
  std::map<std::string, std::shared_ptr<Record>> records_;
  std::deque<std::string> finished_;  ///< ids, oldest first
  uint64_t jobs_done_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lathe::device
