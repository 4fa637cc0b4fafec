#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "latency/fleet/agent_client.h"

namespace lathe::latency {

/// One piece of work for any board of a class. Owned by the queue while it waits and by a board
/// while it runs.
struct Job {
  std::string id;
  std::string onnx;
  std::string sha256;
  /// Tries to answer without the board, from the store; called on a board's thread. True:
  /// delivered.
  std::function<bool(const std::vector<AgentDescription>& boards)> answer_from_store;
  /// Runs on a board whose model is in place. Returns nothing when delivered, else why this try
  /// failed.
  std::function<std::optional<Failure>(AgentClient&, const Lease&, const std::string& job_id)> run;
  /// Delivers the final failure.
  std::function<void(const Failure&)> fail;

  double waiting_since_s =
      0.0;          ///< when it was submitted or last taken by a board that then got lost
  int crashes = 0;  ///< tries in which its worker died
  int losses = 0;   ///< tries in which its board was lost
};

/// The jobs of one device class, oldest first. Thread-safe.
class JobQueue {
 public:
  /// Refused (returned false, `job` untouched) after close().
  bool push(std::unique_ptr<Job>& job);
  /// Puts a job that could not be finished before all others. After close() it is failed.
  void put_back(std::unique_ptr<Job> job);
  /// Waits for a job; nullptr after close(). `on_wait` is called first if there is none.
  std::unique_ptr<Job> take(const std::function<void()>& on_wait);
  /// Removes and returns the jobs that wait since before `time_s`.
  std::vector<std::unique_ptr<Job>> take_older_than(double time_s);
  /// Fails what waits and everything later with `failure`.
  void close(const Failure& failure);
  /// The failure given to close(), if it was called.
  std::optional<Failure> closed() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::optional<Failure> closed_;
};

}  // namespace lathe::latency
