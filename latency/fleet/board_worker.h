#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "latency/fleet/agent_client.h"
#include "latency/fleet/back_off.h"
#include "latency/fleet/board_class.h"
#include "latency/fleet/job_queue.h"

namespace lathe::latency {

class LocalAgent;

/// One agent's thread: connects, takes jobs from the class's queue, holds the lease while there is
/// work, and puts a job back when the board is lost, for another board or itself after a back-off.
/// Thread-safe.
class BoardWorker {
 public:
  /// `local` is the process behind `address` if lathe started it, else null. Both outlive this
  /// object.
  BoardWorker(BoardClass& board_class, const std::string& address, const Credentials& credentials,
              LocalAgent* local);
  /// Cancels the job in flight and joins the thread. The queue must be closed before.
  ~BoardWorker();
  BoardWorker(const BoardWorker&) = delete;
  BoardWorker& operator=(const BoardWorker&) = delete;

  AgentClient& client() { return client_; }

 private:
  void loop();
  bool connect();
  void lose(const Failure& failure);
  void wait(double seconds);
  void wait_before_retry();
  bool check_is_due() const;
  void check_board();
  bool waits_for_panel() const;
  bool quarantined();
  void serve(std::unique_ptr<Job> job);
  bool lease_is_good() const;
  std::optional<Failure> acquire(double timeout_s);
  std::optional<Failure> attempt(Job& job);
  void settle(std::unique_ptr<Job> job, const Failure& failure);
  void wait_for_busy_board();

  BoardClass& class_;
  AgentClient client_;
  LocalAgent* local_;
  BackOff back_off_;
  std::unique_ptr<Lease> lease_;
  double leased_since_s_ = 0.0;
  double lost_since_s_ = -1.0;
  double next_check_s_ = 0.0;
  double settle_until_s_ = 0.0;
  bool connected_ = false;
  bool lost_ = false;  ///< since the last wait
  bool retired_ = false;
  bool in_quarantine_ = false;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lathe::latency
