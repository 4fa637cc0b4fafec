#include "latency/fleet/agent_calls.h"

#include <algorithm>
#include <limits>

#include "core/clock.h"

namespace lathe::latency {
namespace {

constexpr double kGraceS = 0.25;  // gRPC comes first where its timers are in order
constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

ActiveCalls::~ActiveCalls() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    end_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

bool ActiveCalls::add(grpc::ClientContext* context, double timeout_s) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (cancelled_) return false;
  deadlines_s_[context] = steady_clock().now_s() + timeout_s + kGraceS;
  if (!watcher_.joinable()) watcher_ = std::thread([this] { watch(); });
  changed_.notify_all();
  return true;
}

void ActiveCalls::remove(grpc::ClientContext* context) {
  const std::lock_guard<std::mutex> lock(mutex_);
  deadlines_s_.erase(context);
}

void ActiveCalls::extend(grpc::ClientContext* context, double timeout_s) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = deadlines_s_.find(context);
    if (found == deadlines_s_.end() || found->second == kNever) return;
    found->second = steady_clock().now_s() + timeout_s + kGraceS;
  }
  changed_.notify_all();
}

void ActiveCalls::cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  for (const auto& [context, deadline_s] : deadlines_s_) context->TryCancel();
}

bool ActiveCalls::cancelled() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return cancelled_;
}

bool ActiveCalls::expired(grpc::ClientContext* context) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = deadlines_s_.find(context);
  return found != deadlines_s_.end() && found->second == kNever;
}

void ActiveCalls::watch() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!end_) {
    const double now_s = steady_clock().now_s();
    double next_s = now_s + 3600.0;
    for (auto& [context, deadline_s] : deadlines_s_) {
      if (deadline_s <= now_s) {
        deadline_s = kNever;
        context->TryCancel();
      }
      next_s = std::min(next_s, deadline_s);
    }
    changed_.wait_for(lock, std::chrono::duration<double>(next_s - now_s));
  }
}

}  // namespace lathe::latency
