#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace lathe::device {

/// The server's end of a response stream that takes messages from any thread and sends them one
/// after the other. Keeps itself alive from open() until gRPC is done with it. Thread-safe.
template <typename Message>
class StreamWriter : public grpc::ServerWriteReactor<Message>,
                     public std::enable_shared_from_this<StreamWriter<Message>> {
 public:
  /// To be called once, before the reactor is given to gRPC.
  void open() { self_ = this->shared_from_this(); }

  /// Queues a message; ignored after close().
  void send(Message message) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_) return;
    waiting_.push_back(std::move(message));
    write_next();
  }

  /// Ends the stream after what is queued; the first call counts. `discard` drops what is queued.
  void close(const grpc::Status& status, bool discard = false) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_) return;
    status_ = status;
    if (discard) waiting_.clear();
    write_next();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    if (!ok) {
      waiting_.clear();
      if (!status_) status_ = grpc::Status::CANCELLED;
    }
    write_next();
  }

  void OnCancel() override {
    on_gone();
    close(grpc::Status::CANCELLED, true);
  }

  void OnDone() override {
    on_gone();
    const std::shared_ptr<StreamWriter> self = std::move(self_);
  }

 protected:
  /// The client has gone or the stream has ended; may be called twice, without a lock.
  virtual void on_gone() = 0;

 private:
  void write_next() {
    if (writing_ || finished_) return;
    if (!waiting_.empty()) {
      current_ = std::move(waiting_.front());
      waiting_.pop_front();
      writing_ = true;
      this->StartWrite(&current_);
    } else if (status_) {
      finished_ = true;
      this->Finish(*status_);
    }
  }

  std::mutex mutex_;
  std::deque<Message> waiting_;
  Message current_;
  std::optional<grpc::Status> status_;
  bool writing_ = false;
  bool finished_ = false;
  std::shared_ptr<StreamWriter> self_;
};

}  // namespace lathe::device
