#include "tests/support/fake_agent.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "lathe/v1/device_agent.grpc.pb.h"

namespace lathe::test {
namespace {

using grpc::Status;
using grpc::StatusCode;
using namespace std::chrono_literals;

/// Everything that outlives a restart: the script and the counters.
struct Record {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::deque<FakeAgent::Act> acts;
  bool hold = false;
  bool draining = false;
  double median_ms = 5.0;
  int64_t runs = 0;
  int64_t uploads = 0;
  int64_t measure_calls = 0;
  int64_t leases_granted = 0;
  int64_t stale_calls = 0;
  int64_t describes = 0;
  int64_t largest_run = 0;
  uint64_t next_token = 1;
  std::chrono::steady_clock::time_point last_call = std::chrono::steady_clock::now();
  double longest_pause_s = 0.0;  ///< between calls

  /// Notes the pause since the last call, at a call and when somebody asks.
  void end_pause() {
    const auto now = std::chrono::steady_clock::now();
    longest_pause_s =
        std::max(longest_pause_s, std::chrono::duration<double>(now - last_call).count());
    last_call = now;
  }
  std::vector<std::string> job_ids;
  std::vector<bool> contended;
};

class Service final : public v1::DeviceAgent::Service {
 public:
  Service(const FakeAgent::Options& options, Record& record) : options_(options), record_(record) {}

  void stop() {
    stopping_ = true;
    record_.changed.notify_all();
  }
  void occupy() {
    std::unique_lock<std::mutex> lock(record_.mutex);
    const uint64_t ticket = next_ticket_++;
    waiting_.push_back(ticket);
    record_.changed.wait(lock, [&] { return holder_ == 0 && waiting_.front() == ticket; });
    waiting_.pop_front();
    holder_ = record_.next_token++;
    occupied_ = true;
  }
  void release() {
    const std::lock_guard<std::mutex> lock(record_.mutex);
    if (occupied_) holder_ = 0;
    occupied_ = false;
    record_.changed.notify_all();
  }
  void revoke() {
    const std::lock_guard<std::mutex> lock(record_.mutex);
    holder_ = 0;
    record_.changed.notify_all();
  }

  Status Describe(grpc::ServerContext* context, const v1::DescribeRequest*,
                  v1::DescribeResponse* response) override {
    if (!authorized(*context)) return refused();
    const std::lock_guard<std::mutex> lock(record_.mutex);
    ++record_.describes;
    response->set_agent_version("fake");
    response->set_protocol_version(1);
    response->set_hostname("fake-host");
    response->set_model("Fake Pi");
    response->set_fingerprint(options_.fingerprint);
    response->set_usable_cores(4);
    response->set_draining(record_.draining);
    response->set_jobs_done(static_cast<uint64_t>(record_.runs));
    v1::EngineInfo* engine = response->add_engines();
    engine->set_name("xnnpack");
    engine->set_version("2022-02");
    engine->add_precisions(v1::PRECISION_FP32);
    engine->add_operators("conv2d");
    return Status::OK;
  }

  Status Acquire(grpc::ServerContext* context, const v1::AcquireRequest* request,
                 grpc::ServerWriter<v1::AcquireResponse>* writer) override {
    if (!authorized(*context)) return refused();
    std::unique_lock<std::mutex> lock(record_.mutex);
    const uint64_t ticket = next_ticket_++;
    waiting_.push_back(ticket);
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(request->timeout_s());
    bool granted = false;
    while (!stopping_ && !context->IsCancelled() && std::chrono::steady_clock::now() < end) {
      granted = holder_ == 0 && waiting_.front() == ticket;
      if (granted) break;
      record_.changed.wait_for(lock, 2ms);
    }
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), ticket));
    record_.changed.notify_all();
    if (!granted)
      return stopping_ ? lost()
                       : Status(StatusCode::RESOURCE_EXHAUSTED, "the board is held by another");
    const uint64_t token = record_.next_token++;
    holder_ = token;
    ++record_.leases_granted;
    v1::AcquireResponse response;
    response.mutable_granted()->set_id("lease-" + std::to_string(token));
    response.mutable_granted()->set_fencing_token(token);
    writer->Write(response);
    while (!stopping_ && !context->IsCancelled() && holder_ == token)
      record_.changed.wait_for(lock, 2ms);
    if (holder_ == token) holder_ = 0;
    record_.changed.notify_all();
    return lost();
  }

  Status HasModel(grpc::ServerContext* context, const v1::HasModelRequest* request,
                  v1::HasModelResponse* response) override {
    if (!authorized(*context)) return refused();
    const std::lock_guard<std::mutex> lock(record_.mutex);
    response->set_present(models_.count(request->sha256()) > 0);
    return Status::OK;
  }

  Status UploadModel(grpc::ServerContext* context,
                     grpc::ServerReader<v1::UploadModelRequest>* reader,
                     v1::UploadModelResponse* response) override {
    if (!authorized(*context)) return refused();
    v1::UploadModelRequest request;
    std::string sha256;
    std::string bytes;
    while (reader->Read(&request)) {
      if (!request.sha256().empty()) sha256 = request.sha256();
      if (request.chunk().size() > (size_t{1} << 20))
        return {StatusCode::INVALID_ARGUMENT, "chunk too large"};
      bytes += request.chunk();
    }
    if (bytes.find("hostile") != std::string::npos)
      return {StatusCode::INVALID_ARGUMENT, "model: not ONNX"};
    const std::lock_guard<std::mutex> lock(record_.mutex);
    models_[sha256] = bytes;
    ++record_.uploads;
    response->set_size_bytes(static_cast<int64_t>(bytes.size()));
    return Status::OK;
  }

  Status Measure(grpc::ServerContext* context, const v1::MeasureRequest* request,
                 grpc::ServerWriter<v1::MeasureResponse>* writer) override {
    if (!authorized(*context)) return refused();
    std::unique_lock<std::mutex> lock(record_.mutex);
    ++record_.measure_calls;
    record_.end_pause();
    const size_t call = record_.job_ids.size();
    record_.job_ids.push_back(request->job_id());
    record_.contended.push_back(false);
    record_.changed.notify_all();
    while (record_.hold && !stopping_ && !context->IsCancelled())
      record_.changed.wait_for(lock, 2ms);
    record_.contended[call] = !waiting_.empty();
    if (stopping_) return lost();
    if (!holds(request->fencing_token())) return stale();
    if (models_.count(request->model_sha256()) == 0)
      return {StatusCode::NOT_FOUND, "model: unknown"};
    FakeAgent::Act act = FakeAgent::Act::Result;
    if (!record_.acts.empty()) {
      act = record_.acts.front();
      record_.acts.pop_front();
    }
    return play(act, *context, *request, *writer, lock);
  }

  Status Profile(grpc::ServerContext* context, const v1::ProfileRequest* request,
                 v1::ProfileResponse* response) override {
    if (!authorized(*context)) return refused();
    const std::lock_guard<std::mutex> lock(record_.mutex);
    if (!holds(request->fencing_token())) return stale();
    v1::OperatorTime* time = response->add_operators();
    time->set_node("stem");
    time->set_operator_("conv2d");
    time->set_median_ms(request->budget_s());
    time->set_macs(1234);
    return Status::OK;
  }

  /// Answers every image with its first value and the batch's size.
  Status Run(grpc::ServerContext* context, const v1::RunRequest* request,
             v1::RunResponse* response) override {
    if (!authorized(*context)) return refused();
    const std::lock_guard<std::mutex> lock(record_.mutex);
    if (!holds(request->fencing_token())) return stale();
    const int64_t count = request->shape(0);
    record_.largest_run = std::max(record_.largest_run, count);
    const int64_t size = request->inputs_size() / count;
    response->add_shape(count);
    response->add_shape(2);
    for (int64_t i = 0; i < count; ++i) {
      response->add_outputs(request->inputs(static_cast<int>(i * size)));
      response->add_outputs(static_cast<float>(size));
    }
    return Status::OK;
  }

 private:
  static Status lost() { return {StatusCode::UNAVAILABLE, "the agent went away"}; }
  static Status refused() { return {StatusCode::UNAUTHENTICATED, "token: wrong"}; }
  Status stale() {
    ++record_.stale_calls;
    return {StatusCode::FAILED_PRECONDITION, "lease: stale"};
  }
  bool holds(uint64_t token) const { return token != 0 && token == holder_; }

  bool authorized(const grpc::ServerContext& context) const {
    if (options_.token.empty()) return true;
    const auto found = context.client_metadata().find("authorization");
    return found != context.client_metadata().end() &&
           std::string(found->second.data(), found->second.size()) == "Bearer " + options_.token;
  }

  v1::LatencyResult run_once(const v1::MeasureRequest& request) {
    const auto known = results_.find(request.job_id());
    if (known != results_.end()) return known->second;
    ++record_.runs;
    v1::LatencyResult result;
    result.set_median_ms(record_.median_ms);
    result.set_low_ms(record_.median_ms * 0.995);
    result.set_high_ms(record_.median_ms * 1.005);
    result.set_level(request.plan().level());
    result.set_p90_ms(record_.median_ms * 1.01);
    result.set_p99_ms(record_.median_ms * 1.02);
    result.set_kept(request.plan().min_blocks());
    result.set_processes(request.plan().processes());
    result.set_reference_ms(options_.reference_ms);
    result.set_verdict("clean");
    result.mutable_conditions()->set_engine(request.options().engine());
    result.mutable_conditions()->set_engine_version("2022-02");
    result.mutable_conditions()->set_threads(request.options().threads());
    result.mutable_conditions()->set_precision(request.options().precision());
    result.mutable_conditions()->set_device_fingerprint(options_.fingerprint);
    results_[request.job_id()] = result;
    return result;
  }

  Status fail(grpc::ServerWriter<v1::MeasureResponse>& writer, const std::string& kind) {
    v1::MeasureResponse response;
    response.mutable_failure()->set_kind(kind);
    response.mutable_failure()->set_message("scripted");
    writer.Write(response);
    return Status::OK;
  }

  Status play(FakeAgent::Act act, grpc::ServerContext& context, const v1::MeasureRequest& request,
              grpc::ServerWriter<v1::MeasureResponse>& writer, std::unique_lock<std::mutex>& lock) {
    using Act = FakeAgent::Act;
    v1::MeasureResponse response;
    response.mutable_progress()->set_kept(1);
    writer.Write(response);
    switch (act) {
      case Act::DropBeforeRunning:
        return {StatusCode::UNAVAILABLE, "dropped"};
      case Act::EndWithoutResult:
        return Status::OK;
      case Act::CrashedWorker:
        return fail(writer, "crashed");
      case Act::OutOfMemory:
        return fail(writer, "out_of_memory");
      case Act::UnknownFailure:
        return fail(writer, "struck_by_lightning");
      case Act::ForgetModel:
        models_.clear();
        return {StatusCode::NOT_FOUND, "model: dropped"};
      case Act::Hang:
        while (!stopping_ && !context.IsCancelled()) record_.changed.wait_for(lock, 2ms);
        return {StatusCode::CANCELLED, "cancelled"};
      case Act::LoseLease:
        holder_ = 0;
        record_.changed.notify_all();
        while (!stopping_ && !context.IsCancelled()) record_.changed.wait_for(lock, 2ms);
        return {StatusCode::CANCELLED, "cancelled"};
      default:
        break;
    }
    constexpr double kProgress_s = 0.25;  // as often as an agent tells of its blocks
    for (double ran_s = 0.0; ran_s < options_.run_s && !stopping_; ran_s += kProgress_s) {
      record_.changed.wait_for(lock, 250ms, [&] { return stopping_.load(); });
      writer.Write(response);
    }
    *response.mutable_result() = run_once(request);
    if (act == Act::DropAfterRunning) return {StatusCode::UNAVAILABLE, "dropped"};
    if (act == Act::Disturbed) response.mutable_result()->set_verdict("disturbed");
    if (act == Act::NegativeLatency) response.mutable_result()->set_median_ms(-1.0);
    writer.Write(response);
    if (act == Act::ResultTwice) {
      writer.Write(response);
      response.mutable_result()->set_median_ms(999.0);
      writer.Write(response);
    }
    return Status::OK;
  }

  FakeAgent::Options options_;
  Record& record_;
  std::atomic<bool> stopping_{false};
  // All below under record_.mutex.
  std::map<std::string, std::string> models_;
  std::map<std::string, v1::LatencyResult> results_;
  std::deque<uint64_t> waiting_;
  uint64_t next_ticket_ = 1;
  uint64_t holder_ = 0;
  bool occupied_ = false;
};

}  // namespace

struct FakeAgent::State {
  explicit State(const Options& given) : options(given), port(given.port) {
    record.median_ms = given.median_ms;
  }

  void start() {
    service = std::make_unique<Service>(options, record);
    grpc::ServerBuilder builder;
    int bound = 0;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), credentials(), &bound);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(service.get());
    server = builder.BuildAndStart();
    if (server == nullptr)
      throw std::runtime_error("FakeAgent: cannot listen on port " + std::to_string(port));
    port = bound;
  }
  std::shared_ptr<grpc::ServerCredentials> credentials() const {
    if (options.certificate.empty()) return grpc::InsecureServerCredentials();
    grpc::SslServerCredentialsOptions tls(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = options.authority;
    tls.pem_key_cert_pairs.push_back({options.key, options.certificate});
    return grpc::SslServerCredentials(tls);
  }
  void stop() {
    if (server == nullptr) return;
    service->stop();
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    server.reset();
    service.reset();
  }

  Options options;
  Record record;
  int port = 0;
  std::unique_ptr<Service> service;
  std::unique_ptr<grpc::Server> server;

  template <typename T>
  T read(T Record::*field) const {
    const std::lock_guard<std::mutex> lock(record.mutex);
    return record.*field;
  }
};

FakeAgent::FakeAgent() : FakeAgent(Options{}) {}
FakeAgent::FakeAgent(const Options& options) : state_(std::make_unique<State>(options)) {
  state_->start();
}
FakeAgent::~FakeAgent() { state_->stop(); }

std::string FakeAgent::address() const { return "127.0.0.1:" + std::to_string(state_->port); }

void FakeAgent::script(const std::vector<Act>& acts) {
  const std::lock_guard<std::mutex> lock(state_->record.mutex);
  state_->record.acts.insert(state_->record.acts.end(), acts.begin(), acts.end());
}

void FakeAgent::set_median_ms(double median_ms) {
  const std::lock_guard<std::mutex> lock(state_->record.mutex);
  state_->record.median_ms = median_ms;
}

void FakeAgent::hold_measurements(bool hold) {
  const std::lock_guard<std::mutex> lock(state_->record.mutex);
  state_->record.hold = hold;
  state_->record.changed.notify_all();
}

void FakeAgent::set_draining(bool draining) {
  const std::lock_guard<std::mutex> lock(state_->record.mutex);
  state_->record.draining = draining;
}

void FakeAgent::occupy() { state_->service->occupy(); }
void FakeAgent::release() { state_->service->release(); }
void FakeAgent::revoke_lease() { state_->service->revoke(); }
void FakeAgent::kill() { state_->stop(); }
void FakeAgent::restart() { state_->start(); }

int64_t FakeAgent::runs() const { return state_->read(&Record::runs); }
int64_t FakeAgent::uploads() const { return state_->read(&Record::uploads); }
int64_t FakeAgent::measure_calls() const { return state_->read(&Record::measure_calls); }
int64_t FakeAgent::leases_granted() const { return state_->read(&Record::leases_granted); }
int64_t FakeAgent::stale_calls() const { return state_->read(&Record::stale_calls); }
int64_t FakeAgent::describes() const { return state_->read(&Record::describes); }
int64_t FakeAgent::largest_run() const { return state_->read(&Record::largest_run); }
double FakeAgent::take_longest_pause_s() {
  const std::lock_guard<std::mutex> lock(state_->record.mutex);
  state_->record.end_pause();
  return std::exchange(state_->record.longest_pause_s, 0.0);
}
std::vector<std::string> FakeAgent::job_ids() const { return state_->read(&Record::job_ids); }
std::vector<bool> FakeAgent::contended() const { return state_->read(&Record::contended); }

bool FakeAgent::wait_for_measure_calls(int64_t count) const {
  std::unique_lock<std::mutex> lock(state_->record.mutex);
  return state_->record.changed.wait_for(lock, 20s,
                                         [&] { return state_->record.measure_calls >= count; });
}

}  // namespace lathe::test
