#include "device_agent/service/lease_queue.h"

#include <algorithm>
#include <random>
#include <utility>

namespace lathe::device {

namespace {

// Names of leases are random, so that a lease of an agent's former life is never taken for one of
// this life.
std::string random_id() {
  static const char kDigits[] = "0123456789abcdef";
  std::random_device source;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    uint32_t bits = source();
    for (int j = 0; j < 8; ++j, bits >>= 4) id += kDigits[bits & 0xF];
  }
  return id;
}

}  // namespace

void LeaseQueue::run(const Calls& calls) {
  for (const auto& call : calls) call();
}

void LeaseQueue::grant_next(Calls& calls) {
  if (holder_ != nullptr || waiting_.empty() || closed_) return;
  holder_ = waiting_.front();
  waiting_.pop_front();
  grant_ = {random_id(), next_token_++};
  calls.emplace_back([holder = holder_, grant = grant_] { holder->on_granted(grant); });
}

void LeaseQueue::tell_places(Calls& calls) const {
  uint32_t place = 1;
  for (const auto& waiter : waiting_)
    calls.emplace_back([waiter, place] { waiter->on_place(place); }), ++place;
}

bool LeaseQueue::join(const std::shared_ptr<LeaseWaiter>& waiter, size_t limit) {
  const std::lock_guard<std::mutex> in_order(delivery_);
  Calls calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_ || waiting_.size() >= limit) return false;
    waiting_.push_back(waiter);
    const bool waits = holder_ != nullptr;
    grant_next(calls);
    const auto place = static_cast<uint32_t>(waiting_.size());
    if (waits) calls.emplace_back([waiter, place] { waiter->on_place(place); });
  }
  run(calls);
  return true;
}

void LeaseQueue::leave(const LeaseWaiter* waiter) {
  const std::lock_guard<std::mutex> in_order(delivery_);
  Calls calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (holder_.get() == waiter && holder_ != nullptr) {
      calls.emplace_back([this, grant = grant_] { on_end_(grant); });
      holder_.reset();
      grant_ = {};
      grant_next(calls);
      tell_places(calls);
    } else {
      if (!erase_waiting(waiter)) return;
      tell_places(calls);
    }
  }
  run(calls);
}

bool LeaseQueue::abandon(const LeaseWaiter* waiter) {
  const std::lock_guard<std::mutex> in_order(delivery_);
  Calls calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!erase_waiting(waiter)) return false;
    tell_places(calls);
  }
  run(calls);
  return true;
}

bool LeaseQueue::erase_waiting(const LeaseWaiter* waiter) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const auto& other) { return other.get() == waiter; });
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

bool LeaseQueue::holds(const std::string& id, uint64_t fencing_token) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return holder_ != nullptr && grant_.id == id && grant_.fencing_token == fencing_token;
}

void LeaseQueue::close() {
  const std::lock_guard<std::mutex> in_order(delivery_);
  Calls calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    for (const auto& waiter : waiting_) calls.emplace_back([waiter] { waiter->on_closed(); });
    waiting_.clear();
  }
  run(calls);
}

void LeaseQueue::close_holder() {
  const std::lock_guard<std::mutex> in_order(delivery_);
  std::shared_ptr<LeaseWaiter> holder;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    holder = holder_;
  }
  if (holder != nullptr) holder->on_closed();
}

bool LeaseQueue::held() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return holder_ != nullptr;
}

bool LeaseQueue::closed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

uint32_t LeaseQueue::length() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<uint32_t>(waiting_.size());
}

uint64_t LeaseQueue::last_token() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return next_token_ - 1;
}

}  // namespace lathe::device
