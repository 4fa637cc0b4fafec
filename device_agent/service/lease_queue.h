#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lathe::device {

/// Exclusive use of the board. Later leases have larger fencing tokens.
struct LeaseGrant {
  std::string id;
  uint64_t fencing_token = 0;
};

/// Someone who waits for the board or has it. Called from the thread that changed the queue, never
/// under its lock, in the order of the changes.
class LeaseWaiter {
 public:
  virtual ~LeaseWaiter() = default;
  virtual void on_place(uint32_t place) = 0;  ///< 1: next
  virtual void on_granted(const LeaseGrant& grant) = 0;
  virtual void on_closed() = 0;  ///< the agent is going away
};

/// First come, first served. A lease ends when its holder leaves. Thread-safe.
class LeaseQueue {
 public:
  /// `on_end` is called with every lease that ended.
  explicit LeaseQueue(std::function<void(const LeaseGrant&)> on_end) : on_end_(std::move(on_end)) {}

  /// Joins at the end. Returns false if the queue is closed or has `limit` waiters.
  bool join(const std::shared_ptr<LeaseWaiter>& waiter, size_t limit = 64);
  /// Leaves, whether waiting or holding. Unknown waiters are ignored.
  void leave(const LeaseWaiter* waiter);
  /// Leaves the queue only if still waiting. Returns whether it did.
  bool abandon(const LeaseWaiter* waiter);
  /// Returns true if this is the lease that holds now.
  bool holds(const std::string& id, uint64_t fencing_token) const;
  /// Refuses newcomers and tells those who wait; the holder keeps its lease until close_holder().
  void close();
  void close_holder();
  bool held() const;
  bool closed() const;
  uint32_t length() const;  ///< waiting, without the holder
  /// The token of the last lease that was granted; 0: none yet.
  uint64_t last_token() const;

 private:
  using Calls = std::vector<std::function<void()>>;
  void grant_next(Calls& calls);
  bool erase_waiting(const LeaseWaiter* waiter);
  void tell_places(Calls& calls) const;
  static void run(const Calls& calls);

  std::function<void(const LeaseGrant&)> on_end_;
  mutable std::mutex mutex_;
  std::mutex delivery_;  ///< keeps calls in the order of the changes
  std::shared_ptr<LeaseWaiter> holder_;
  LeaseGrant grant_;
  std::deque<std::shared_ptr<LeaseWaiter>> waiting_;
  uint64_t next_token_ = 1;
  bool closed_ = false;
};

}  // namespace lathe::device
