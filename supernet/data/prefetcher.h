#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/error.h"

namespace lathe::supernet {

/// Makes the items of the next steps on a thread of its own while the caller works on the last
/// one. An item depends on its step alone, so the items are those that the caller would make
/// itself, in the same order. Use it from one thread; at most `depth` items wait at any time. The
/// destructor waits for the item in the making.
template <typename T>
class Prefetcher {
 public:
  /// Makes the item of one step. Called with consecutive steps, on one thread, never concurrently.
  using Make = std::function<T(int64_t step)>;

  /// `depth` 0: no thread; next() makes the item itself.
  explicit Prefetcher(size_t depth) : depth_(depth) {}
  ~Prefetcher() { stop(); }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Begins at `step`, up to but not including `end`; what was begun before is stopped and thrown
  /// away (a resumed or rolled back training begins again with another `make`).
  void start(int64_t step, int64_t end, Make make) {
    stop();
    next_ = step;
    end_ = end;
    make_ = std::move(make);
    if (depth_ > 0 && step < end) thread_ = std::thread([this, step, end] { produce(step, end); });
  }

  /// Returns the item of the next step. \throws what making it threw, again at every call until
  /// start(); InvariantError if there is no further step.
  T next() {
    if (!make_ || next_ >= end_) {
      throw InvariantError("Prefetcher::next: step " + std::to_string(next_) +
                           " is asked for, expected one before " + std::to_string(end_));
    }
    T item = depth_ == 0 ? make_(next_) : take();
    ++next_;
    return item;
  }

  /// The step whose item next() returns.
  int64_t next_step() const { return next_; }

  /// Waits for the item in the making and throws away what waits. start() begins again.
  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    items_.clear();
    failure_ = nullptr;
    stopping_ = false;
    make_ = nullptr;
    end_ = next_;
  }

 private:
  T take() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty() || failure_ != nullptr; });
    // What was made before the failure is handed out before it.
    if (items_.empty()) std::rethrow_exception(failure_);
    T item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return item;
  }

  void produce(int64_t step, int64_t end) {
    try {
      for (; step < end; ++step) {
        {
          std::unique_lock<std::mutex> lock(mutex_);
          changed_.wait(lock, [this] { return stopping_ || items_.size() < depth_; });
          if (stopping_) return;
        }
        T item = make_(step);
        const std::lock_guard<std::mutex> lock(mutex_);
        items_.push_back(std::move(item));
        changed_.notify_all();
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  const size_t depth_;
  Make make_;
  int64_t next_ = 0;
  int64_t end_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;                   ///< guarded by mutex_
  std::exception_ptr failure_ = nullptr;  ///< guarded by mutex_
  bool stopping_ = false;                 ///< guarded by mutex_
  std::thread thread_;
};

}  // namespace lathe::supernet
