#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "latency/fleet/agent_client.h"
#include "lathe/v1/device_agent.grpc.pb.h"

// The calls of AgentClient: how they end from another thread, and the lease that some run under.

namespace lathe::latency {

inline std::chrono::system_clock::time_point deadline_after(double seconds) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(
             std::chrono::duration<double>(seconds));
}

/// The calls in flight, so that they can be ended from another thread: all of them by cancel(),
/// each at its deadline. gRPC ends them at their deadlines, too, but its timers sleep until a wall
/// time and oversleep where the wall clock is set back meanwhile, as NTP may do. This one sleeps by
/// the monotonic clock and comes a little later. Thread-safe.
class ActiveCalls {
 public:
  ActiveCalls() = default;
  /// \pre no call is in flight.
  ~ActiveCalls();
  ActiveCalls(const ActiveCalls&) = delete;
  ActiveCalls& operator=(const ActiveCalls&) = delete;

  /// Returns false if everything was cancelled already.
  bool add(grpc::ClientContext* context, double timeout_s);
  void remove(grpc::ClientContext* context);
  /// Gives a call `timeout_s` from now on.
  void extend(grpc::ClientContext* context, double timeout_s);
  void cancel();
  bool cancelled() const;
  /// Whether the call was ended here because its deadline was over.
  bool expired(grpc::ClientContext* context) const;

 private:
  void watch();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<grpc::ClientContext*, double> deadlines_s_;  ///< infinite once they are over
  bool cancelled_ = false;
  bool end_ = false;
  std::thread watcher_;  ///< starts with the first call
};

/// One call: its context with deadline and token, registered as long as it lives.
class Call {
 public:
  Call(ActiveCalls& calls, const std::string& token, double timeout_s) : calls_(calls) {
    context_.set_deadline(deadline_after(timeout_s));
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    if (!calls_.add(&context_, timeout_s)) context_.TryCancel();
  }
  ~Call() { calls_.remove(&context_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  grpc::ClientContext* context() { return &context_; }

  /// Ends the call `timeout_s` from now on, but no later than gRPC's deadline.
  void extend(double timeout_s) { calls_.extend(&context_, timeout_s); }

  /// What the call ended with, from what gRPC says.
  grpc::Status status(const grpc::Status& ended) {
    const bool late =
        ended.error_code() == grpc::StatusCode::CANCELLED && calls_.expired(&context_);
    return late ? grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded") : ended;
  }

 private:
  ActiveCalls& calls_;
  grpc::ClientContext context_;
};

/// The lease's stream and the thread that reads it to its end.
class StreamLease : public Lease {
 public:
  /// Takes over `call` and `reader`, whose first grant was read already.
  StreamLease(std::unique_ptr<Call> call,
              std::unique_ptr<grpc::ClientReader<v1::AcquireResponse>> reader,
              const v1::Lease& granted)
      : call_(std::move(call)),
        reader_(std::move(reader)),
        id_(granted.id()),
        token_(granted.fencing_token()) {
    watcher_ = std::thread([this] { watch(); });
  }
  ~StreamLease() override {
    call_->context()->TryCancel();
    watcher_.join();
  }
  bool lost() const override { return lost_; }
  const std::string& id() const override { return id_; }
  uint64_t fencing_token() const override { return token_; }

  /// Ends `context` if the lease is lost while it is registered here.
  void guard(grpc::ClientContext* context) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    guarded_ = context;
    if (lost_ && context != nullptr) context->TryCancel();
  }

 private:
  void watch() {
    v1::AcquireResponse response;
    while (reader_->Read(&response)) {
    }
    reader_->Finish();
    const std::lock_guard<std::mutex> lock(mutex_);
    lost_ = true;
    if (guarded_ != nullptr) guarded_->TryCancel();
  }

  std::unique_ptr<Call> call_;
  std::unique_ptr<grpc::ClientReader<v1::AcquireResponse>> reader_;
  std::string id_;
  uint64_t token_;
  mutable std::mutex mutex_;
  mutable grpc::ClientContext* guarded_ = nullptr;
  std::atomic<bool> lost_{false};
  std::thread watcher_;
};

/// Ties a call to the lease under which it runs.
class UnderLease {
 public:
  UnderLease(const Lease& lease, grpc::ClientContext* context)
      : lease_(dynamic_cast<const StreamLease&>(lease)) {
    lease_.guard(context);
  }
  ~UnderLease() { lease_.guard(nullptr); }
  UnderLease(const UnderLease&) = delete;
  UnderLease& operator=(const UnderLease&) = delete;

 private:
  const StreamLease& lease_;
};

}  // namespace lathe::latency
