#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace lathe::study {

/// Threads that compute and stream through memory as training does, from construction to
/// destruction.
class Load {
 public:
  /// One thread for each entry of `cores`, bound to that core; -1: not bound. With `burst_s` > 0
  /// each thread works and rests for so long in turn.
  explicit Load(const std::vector<int>& cores, double burst_s = 0.0);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Units of work done so far by all threads.
  double work() const { return static_cast<double>(work_.load()); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> work_{0};
  std::vector<std::thread> threads_;
};

}  // namespace lathe::study
