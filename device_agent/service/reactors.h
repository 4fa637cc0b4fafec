#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "device_agent/service/job_runner.h"
#include "device_agent/service/lease_queue.h"
#include "device_agent/service/model_store.h"
#include "device_agent/service/stream_writer.h"
#include "device_agent/service/timers.h"
#include "device_agent/service/wire.h"
#include "lathe/v1/device_agent.pb.h"

namespace lathe::device {

/// The stream of one Acquire: a place in the queue, then the lease, for as long as the stream
/// lives. Thread-safe.
class LeaseStream : public StreamWriter<v1::AcquireResponse> {
 public:
  /// Sends a sign of life every `beat_s`: something is on its way then to a controller that
  /// vanished without a word, and the kernel ends the connection (TCP_USER_TIMEOUT, by the
  /// monotonic clock). gRPC's keep-alive alone oversleeps on a board whose wall clock is set back.
  LeaseStream(LeaseQueue& queue, Timers& timers, double beat_s)
      : queue_(queue), timers_(timers), beat_s_(beat_s) {}
  /// Waits at most `timeout_s` in the queue; 0: without limit.
  void join(double timeout_s);

 private:
  class Waiter;
  void on_gone() override;
  void schedule_beat();

  LeaseQueue& queue_;
  Timers& timers_;
  double beat_s_;
  std::mutex mutex_;
  std::shared_ptr<Waiter> waiter_;
  uint64_t timer_ = 0;
  uint64_t beat_ = 0;
};

/// The stream of one Measure. Thread-safe.
class MeasureStream : public StreamWriter<v1::MeasureResponse> {
 public:
  MeasureStream(JobRunner& jobs, std::string job_id) : jobs_(jobs), job_id_(std::move(job_id)) {}
  /// What the job reports to; valid as long as the job runs.
  std::shared_ptr<MeasureObserver> observer();

 private:
  class Observer;
  void on_gone() override;

  JobRunner& jobs_;
  std::string job_id_;
  std::mutex mutex_;
  std::shared_ptr<Observer> observer_;
};

/// Takes one model in. Called by gRPC, one event at a time.
class UploadReader : public grpc::ServerReadReactor<v1::UploadModelRequest>,
                     public std::enable_shared_from_this<UploadReader> {
 public:
  UploadReader(ModelStore& models, v1::UploadModelResponse& response)
      : models_(models), response_(response) {}
  /// Starts reading, or refuses if `status` is not OK.
  void open(const grpc::Status& status);
  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  grpc::Status take(const v1::UploadModelRequest& request);
  grpc::Status complete();

  ModelStore& models_;
  v1::UploadModelResponse& response_;
  v1::UploadModelRequest request_;
  std::string sha256_;
  std::optional<ModelUpload> upload_;
  std::shared_ptr<UploadReader> self_;
};

/// One unary call that is answered by a job. Thread-safe.
class JobCall : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<JobCall> {
 public:
  void open() { self_ = shared_from_this(); }
  const std::shared_ptr<Cancellation>& cancellation() const { return cancellation_; }
  void finish(const grpc::Status& status) { Finish(status); }

  /// Runs the job and sends its response, or the failure inside one.
  template <typename Response, typename Job>
  void answer(Response& response, const Job& job) {
    try {
      Result<Response> result =
          cancellation_->cancelled()
              ? Result<Response>(Failure{FailureKind::Cancelled, "the job was cancelled"})
              : job();
      if (result) {
        response = std::move(result).value();
      } else {
        *response.mutable_failure() = to_wire(result.failure());
      }
    } catch (const std::exception& error) {
      *response.mutable_failure() = to_wire(Failure{FailureKind::Internal, error.what()});
    }
    Finish(grpc::Status::OK);
  }

  void OnCancel() override { cancellation_->cancel(); }
  void OnDone() override { const std::shared_ptr<JobCall> self = std::move(self_); }

 private:
  std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  std::shared_ptr<JobCall> self_;
};

/// Fills in what the agent knows of its board and engines, read afresh.
void describe_board(const AgentSettings& settings, v1::DescribeResponse& response);

}  // namespace lathe::device
