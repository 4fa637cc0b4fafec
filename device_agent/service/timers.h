#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace lathe::device {

/// Calls functions later, on a thread of its own that starts with the first one. No function runs
/// after stop(). Thread-safe; a function may call after() and cancel(), not stop().
class Timers {
 public:
  Timers() = default;
  ~Timers() { stop(); }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  /// Returns a handle for cancel().
  uint64_t after(double seconds, std::function<void()> call);
  /// Forgets the call if it has not begun.
  void cancel(uint64_t handle);
  void stop();

 private:
  struct Entry {
    uint64_t handle;
    std::function<void()> call;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<double, Entry> entries_;  ///< by due time
  uint64_t next_handle_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lathe::device
