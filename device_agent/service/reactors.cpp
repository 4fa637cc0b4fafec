#include "device_agent/service/reactors.h"

#include <utility>

namespace lathe::device {

namespace {

grpc::Status status_of(const Failure& failure) {
  const bool memory = failure.kind == FailureKind::OutOfMemory;
  const bool model = failure.kind == FailureKind::InvalidModel;
  return {memory  ? grpc::StatusCode::RESOURCE_EXHAUSTED
          : model ? grpc::StatusCode::INVALID_ARGUMENT
                  : grpc::StatusCode::INTERNAL,
          failure.message};
}

}  // namespace

// Between the queue and the stream: keeps the stream alive while it is queued.
class LeaseStream::Waiter : public LeaseWaiter {
 public:
  explicit Waiter(std::shared_ptr<LeaseStream> stream) : stream_(std::move(stream)) {}
  void on_place(uint32_t place) override {
    v1::AcquireResponse message;
    message.set_queue_place(place);
    stream_->send(std::move(message));
  }
  void on_granted(const LeaseGrant& grant) override {
    stream_->timers_.cancel(stream_->timer_);
    v1::AcquireResponse message;
    message.mutable_granted()->set_id(grant.id);
    message.mutable_granted()->set_fencing_token(grant.fencing_token);
    stream_->send(std::move(message));
  }
  void on_closed() override {
    stream_->close({grpc::StatusCode::UNAVAILABLE, "the agent is shutting down"});
  }

 private:
  std::shared_ptr<LeaseStream> stream_;
};

void LeaseStream::join(double timeout_s) {
  auto self = std::static_pointer_cast<LeaseStream>(shared_from_this());
  const auto waiter = std::make_shared<Waiter>(self);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiter_ = waiter;
  }
  if (timeout_s > 0.0) {
    timer_ = timers_.after(timeout_s, [self, waiter, timeout_s] {
      if (!self->queue_.abandon(waiter.get())) return;
      self->close(
          {grpc::StatusCode::DEADLINE_EXCEEDED, "no lease within " + std::to_string(timeout_s) +
                                                    " s: other controllers hold the board"});
    });
  }
  if (!queue_.join(waiter)) {
    close({grpc::StatusCode::UNAVAILABLE,
           queue_.closed() ? "the agent is shutting down" : "the agent takes no more controllers"});
  }
  schedule_beat();
}

void LeaseStream::schedule_beat() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waiter_ == nullptr) return;
  const std::weak_ptr<StreamWriter> weak = weak_from_this();
  beat_ = timers_.after(beat_s_, [weak] {
    const auto self = std::static_pointer_cast<LeaseStream>(weak.lock());
    if (self == nullptr) return;
    v1::AcquireResponse alive;
    alive.set_queue_place(0);
    self->send(std::move(alive));
    self->schedule_beat();
  });
}

void LeaseStream::on_gone() {
  std::shared_ptr<Waiter> waiter;
  uint64_t beat = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiter = std::move(waiter_);
    beat = beat_;
  }
  if (waiter == nullptr) return;
  timers_.cancel(beat);
  timers_.cancel(timer_);
  queue_.leave(waiter.get());
}

// Between the job and the stream: keeps the stream alive while the job runs.
class MeasureStream::Observer : public MeasureObserver {
 public:
  explicit Observer(std::shared_ptr<MeasureStream> stream) : stream_(std::move(stream)) {}
  void on_progress(const v1::MeasureProgress& progress) override {
    v1::MeasureResponse message;
    *message.mutable_progress() = progress;
    stream_->send(std::move(message));
  }
  void on_outcome(const Result<v1::LatencyResult>& outcome) override {
    v1::MeasureResponse message;
    if (outcome) {
      *message.mutable_result() = *outcome;
    } else {
      *message.mutable_failure() = to_wire(outcome.failure());
    }
    stream_->send(std::move(message));
    stream_->close(grpc::Status::OK);
  }

 private:
  std::shared_ptr<MeasureStream> stream_;
};

std::shared_ptr<MeasureObserver> MeasureStream::observer() {
  const std::lock_guard<std::mutex> lock(mutex_);
  observer_ =
      std::make_shared<Observer>(std::static_pointer_cast<MeasureStream>(shared_from_this()));
  return observer_;
}

void MeasureStream::on_gone() {
  std::shared_ptr<Observer> observer;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    observer = std::move(observer_);
  }
  if (observer != nullptr) jobs_.detach(job_id_, observer.get());
}

void UploadReader::open(const grpc::Status& status) {
  self_ = shared_from_this();
  if (status.ok()) {
    StartRead(&request_);
  } else {
    Finish(status);
  }
}

void UploadReader::OnReadDone(bool ok) {
  grpc::Status status;
  try {
    status = ok ? take(request_) : complete();
  } catch (const std::exception& error) {
    status = {grpc::StatusCode::INTERNAL, error.what()};
  }
  if (!ok || !status.ok()) {
    Finish(status);
    return;
  }
  StartRead(&request_);
}

void UploadReader::OnDone() { const std::shared_ptr<UploadReader> self = std::move(self_); }

grpc::Status UploadReader::take(const v1::UploadModelRequest& request) {
  if (!upload_) {
    if (!is_sha256(request.sha256())) {
      return {
          grpc::StatusCode::INVALID_ARGUMENT,
          "sha256 = " + request.sha256() + " in the first message, expected 64 hexadecimal digits"};
    }
    sha256_ = request.sha256();
    upload_.emplace(models_.max_model_bytes());
  }
  const Result<int64_t> size = upload_->append(request.chunk());
  return size ? grpc::Status::OK : status_of(size.failure());
}

grpc::Status UploadReader::complete() {
  if (!upload_) return {grpc::StatusCode::INVALID_ARGUMENT, "the upload has no messages"};
  Result<std::shared_ptr<const StoredModel>> model = upload_->finish(sha256_);
  if (!model) return status_of(model.failure());
  response_.set_size_bytes((*model)->size_bytes());
  models_.add(sha256_, *model);
  return grpc::Status::OK;
}

void describe_board(const AgentSettings& settings, v1::DescribeResponse& response) {
  const BoardInfo board = read_board(settings.board_root);
  response.set_hostname(board.hostname);
  response.set_model(board.model);
  response.set_soc(board.soc);
  response.set_kernel(board.kernel);
  response.set_isa(board.isa);
  response.set_fingerprint(settings.board.fingerprint());
  response.set_usable_cores(static_cast<uint32_t>(settings.usable_cores.size()));
  response.set_memory_bytes(board.memory_bytes);
  response.set_available_memory_bytes(board.available_memory_bytes);
  response.set_governor(board.governor());
  response.set_emulated(settings.invalid_timing);
  response.set_temperature_c(board.temperature_c);
  response.set_throttle_bits(board.throttle_bits);
  response.set_measuring_core(static_cast<uint32_t>(settings.usable_cores.back()));
  response.set_memory_limit_bytes(settings.memory_limit_bytes);
  for (const CoreCluster& cluster : board.clusters) {
    v1::CoreCluster& added = *response.add_clusters();
    added.set_name(cluster.name);
    for (const int core : cluster.cores) added.add_cores(static_cast<uint32_t>(core));
    added.set_governor(cluster.governor);
    added.set_min_hz(cluster.min_hz);
    added.set_max_hz(cluster.max_hz);
  }
  for (const auto& engine : settings.engines->all()) {
    v1::EngineInfo& added = *response.add_engines();
    added.set_name(engine->name());
    added.set_version(engine->version());
    for (const latency::Precision precision : engine->precisions())
      added.add_precisions(to_wire(precision));
    for (const std::string& op : engine->operators()) added.add_operators(op);
  }
}

}  // namespace lathe::device
