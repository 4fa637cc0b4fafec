#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

namespace lathe::device {

/// Waits for killed child processes on a thread of its own, so that a process stuck in the kernel
/// holds nobody up. The one instance lives for the whole program; its thread starts with the first
/// adoption. Thread-safe.
class ProcessReaper {
 public:
  static ProcessReaper& instance();
  /// Takes over a child that was sent SIGKILL.
  void adopt(pid_t process);
  ~ProcessReaper();
  ProcessReaper(const ProcessReaper&) = delete;
  ProcessReaper& operator=(const ProcessReaper&) = delete;

 private:
  ProcessReaper() = default;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<pid_t> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

/// Waits at most `limit_s` for a child to end and reaps it. Returns its status as of waitpid, or
/// nothing.
std::optional<int> wait_for_exit(pid_t process, double limit_s);

}  // namespace lathe::device
