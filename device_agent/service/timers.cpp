#include "device_agent/service/timers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/clock.h"

namespace lathe::device {

uint64_t Timers::after(double seconds, std::function<void()> call) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t handle = next_handle_++;
  if (stopping_) return handle;
  entries_.emplace(steady_clock().now_s() + seconds, Entry{handle, std::move(call)});
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_one();
  return handle;
}

void Timers::cancel(uint64_t handle) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry.second.handle == handle; });
  if (found != entries_.end()) entries_.erase(found);
}

void Timers::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Timers::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    if (entries_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const double left_s = entries_.begin()->first - steady_clock().now_s();
    if (left_s > 0.0) {
      changed_.wait_for(lock, std::chrono::duration<double>(left_s));
      continue;
    }
    const std::function<void()> call = std::move(entries_.begin()->second.call);
    entries_.erase(entries_.begin());
    lock.unlock();
    call();
    lock.lock();
  }
}

}  // namespace lathe::device
