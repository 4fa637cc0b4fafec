#include "latency/fleet/agent_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>

#include "core/clock.h"
#include "core/error.h"
#include "core/text.h"
#include "latency/fleet/agent_calls.h"
#include "latency/fleet/credential_check.h"
#include "latency/fleet/wire.h"
#include "lathe/v1/device_agent.grpc.pb.h"

namespace lathe::latency {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr double kShortCallS = 30.0;
constexpr double kProbeS = 2.0;
constexpr double kAgentAnswersWithinS = 5.0;

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const std::string& address,
                                                              const Credentials& credentials) {
  if (!credentials.ca.empty()) {
    PemTexts pem = read_pem_texts(credentials);
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = std::move(pem.authorities);
    options.pem_cert_chain = std::move(pem.certificate);
    options.pem_private_key = std::move(pem.key);
    return grpc::SslCredentials(options);
  }
  if (!is_loopback(address) && !credentials.allow_plaintext) {
    throw DeviceError("agent " + address +
                      ": plain text, expected loopback, TLS or allow_plaintext");
  }
  return grpc::InsecureChannelCredentials();
}

/// gRPC's own resolver asks DNS servers only; the system's also knows pi4.local (multicast DNS) and
/// the hosts file. And gRPC writes to standard error, which is the program's, not a library's. It
/// reads both variables when it starts, so this has to come before the first channel; whoever sets
/// them has the last word.
void configure_grpc() {
  static const bool done = [] {
    setenv("GRPC_DNS_RESOLVER", "native", 0);
    setenv("GRPC_VERBOSITY", "NONE", 0);
    return true;
  }();
  static_cast<void>(done);
}

grpc::ChannelArguments channel_arguments() {
  configure_grpc();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The fleet backs off by itself: the channel should try whenever it is asked.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 << 20);  // what agents send at most
  return arguments;
}

template <typename Request>
void fill_job(const Lease& lease, const std::string& sha256, const JobOptions& options,
              Request& request) {
  request.set_lease_id(lease.id());
  request.set_fencing_token(lease.fencing_token());
  request.set_model_sha256(sha256);
  wire::fill(options, *request.mutable_options());
}

}  // namespace

struct AgentClient::State {
  State(const std::string& agent_address, const Credentials& agent_credentials)
      : address(agent_address),
        credentials(agent_credentials),
        channel(grpc::CreateCustomChannel(agent_address,
                                          channel_credentials(agent_address, agent_credentials),
                                          channel_arguments())),
        stub(v1::DeviceAgent::NewStub(channel)) {}

  std::string where(const char* call) const { return "agent " + address + ", " + call; }

  /// A call that ended as cancelled was ended by cancel() or because its lease was lost.
  Failure failure(const grpc::Status& status, const char* call) const {
    if (status.error_code() == grpc::StatusCode::CANCELLED) {
      if (calls.cancelled()) return {FailureKind::Cancelled, where(call) + ": cancelled"};
      return {FailureKind::Unavailable, where(call) + ": the lease was lost"};
    }
    return wire::failure_of(status, where(call));
  }

  /// Says more of a failure than gRPC does where the two sides' credentials are the reason. That is
  /// final unless they worked before: a board without a clock of its own may wake up in the past.
  Failure explained(const Failure& failure) const {
    if (failure.kind != FailureKind::Unavailable || calls.cancelled()) return failure;
    // Nobody listens; gRPC has said so.
    for (const char* text : {"Failed to connect to remote host", "DNS resolution"}) {
      if (failure.message.find(text) != std::string::npos) return failure;
    }
    const FailureKind kind = reached ? FailureKind::Unavailable : FailureKind::Unauthorized;
    try {
      const std::optional<std::string> fault = credential_fault(address, credentials, kProbeS);
      return fault ? Failure{kind, where("describe") + ": " + *fault} : failure;
    } catch (const Error& error) {  // the files have changed or expired since the start
      return {kind, where("describe") + ": " + error.what()};
    }
  }

  std::string address;
  Credentials credentials;
  std::atomic<bool> reached{false};
  ActiveCalls calls;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::DeviceAgent::Stub> stub;
};

AgentClient::AgentClient(const std::string& address, const Credentials& credentials)
    : state_(std::make_unique<State>(address, credentials)) {}

AgentClient::~AgentClient() { cancel(); }

const std::string& AgentClient::address() const { return state_->address; }

void AgentClient::cancel() { state_->calls.cancel(); }

std::string missing_ability(const AgentDescription& agent, const DeviceConfig& device) {
  const auto engine = std::find_if(
      agent.engines.begin(), agent.engines.end(),
      [&](const AgentDescription::Engine& each) { return each.name == device.engine; });
  if (engine == agent.engines.end()) {
    const auto name_of = [](const AgentDescription::Engine& each) { return each.name; };
    return "engine = " + device.engine + ", expected one of: " + join(agent.engines, ", ", name_of);
  }
  const std::vector<std::string>& precisions = engine->precisions;
  const std::string precision = to_string(device.precision);
  if (std::find(precisions.begin(), precisions.end(), precision) == precisions.end()) {
    return "precision = " + precision + ", expected one of: " + join(precisions, ", ");
  }
  if (device.threads > agent.usable_cores) {
    return "threads = " + std::to_string(device.threads) + ", expected at most its usable cores, " +
           std::to_string(agent.usable_cores);
  }
  if (device.plan.energy_s > 0.0 && agent.energy_sensor.empty()) {
    return "energy is asked for, but the board has no sensor that the agent can read (lathe "
           "devices "
           "--doctor says more)";
  }
  return "";
}

Result<AgentDescription> AgentClient::describe(double timeout_s) {
  Result<AgentDescription> answer = describe(timeout_s, false);
  if (answer.ok()) return answer;
  return state_->explained(answer.failure());
}

Result<AgentDescription> AgentClient::describe_patiently(double timeout_s) {
  const double deadline_s = steady_clock().now_s() + timeout_s;
  Result<AgentDescription> first = describe(timeout_s);
  if (first.ok() || first.failure().kind != FailureKind::Unavailable) return first;
  const double left_s = deadline_s - steady_clock().now_s();
  if (left_s <= 0.0) return first;
  Result<AgentDescription> answer = describe(left_s, true);
  // Waiting ends without a reason; the first try had one.
  if (!answer.ok() && answer.failure().kind == FailureKind::Unavailable) return first;
  return answer;
}

Result<AgentDescription> AgentClient::describe(double timeout_s, bool wait_for_connection) {
  // The fleet backs off by itself, and gRPC's own wait oversleeps where the wall clock is set back.
  grpc::experimental::ChannelResetConnectionBackoff(state_->channel.get());
  Call call(state_->calls, state_->credentials.token, timeout_s);
  call.context()->set_wait_for_ready(wait_for_connection);
  v1::DescribeResponse response;
  const grpc::Status status = call.status(state_->stub->Describe(call.context(), {}, &response));
  if (!status.ok()) return state_->failure(status, "describe");
  state_->reached = true;
  return wire::description_of(response, state_->address);
}

Result<std::unique_ptr<Lease>> AgentClient::acquire(const std::string& controller,
                                                    double timeout_s) {
  v1::AcquireRequest request;
  request.set_controller(controller);
  request.set_timeout_s(timeout_s);
  // The stream is the lease: it has to live much longer than the wait for it, which the agent ends
  // by itself.
  constexpr double kLongestLeaseS = 7.0 * 86400.0;
  auto call =
      std::make_unique<Call>(state_->calls, state_->credentials.token, timeout_s + kLongestLeaseS);
  call->extend(timeout_s + kAgentAnswersWithinS);
  auto reader = state_->stub->Acquire(call->context(), request);
  v1::AcquireResponse response;
  while (reader->Read(&response)) {
    if (response.state_case() == v1::AcquireResponse::kGranted) {
      call->extend(kLongestLeaseS);
      return std::unique_ptr<Lease>(
          std::make_unique<StreamLease>(std::move(call), std::move(reader), response.granted()));
    }
  }
  const grpc::Status status = call->status(reader->Finish());
  if (status.ok())
    return Failure{FailureKind::Unavailable, state_->where("acquire") + ": ended without a lease"};
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return Failure{FailureKind::Busy,
                   state_->where("acquire") + ": the board was not free in time"};
  }
  return state_->failure(status, "acquire");
}

Result<bool> AgentClient::provide_model(const std::string& sha256, const std::string& onnx) {
  {
    Call call(state_->calls, state_->credentials.token, kShortCallS);
    v1::HasModelRequest request;
    request.set_sha256(sha256);
    v1::HasModelResponse response;
    const grpc::Status status =
        call.status(state_->stub->HasModel(call.context(), request, &response));
    if (!status.ok()) return state_->failure(status, "has_model");
    if (response.present()) return false;
  }
  Call call(state_->calls, state_->credentials.token,
            kShortCallS + static_cast<double>(onnx.size()) / 1e5);
  v1::UploadModelResponse response;
  auto writer = state_->stub->UploadModel(call.context(), &response);
  size_t begin = 0;
  do {
    v1::UploadModelRequest request;
    if (begin == 0) request.set_sha256(sha256);
    request.set_chunk(onnx.substr(begin, kChunkBytes));
    begin += kChunkBytes;
    if (!writer->Write(request)) break;  // the agent refused: its status says why
  } while (begin < onnx.size());
  writer->WritesDone();
  const grpc::Status status = call.status(writer->Finish());
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
    return Failure{FailureKind::InvalidModel,
                   state_->where("upload") + ": " + status.error_message()};
  }
  if (!status.ok()) return state_->failure(status, "upload");
  return true;
}

Result<LatencyEstimate> AgentClient::measure(const Lease& lease, const std::string& job_id,
                                             const std::string& sha256, const JobOptions& options,
                                             const MeasurementPlan& plan, double timeout_s) {
  v1::MeasureRequest request;
  request.set_job_id(job_id);
  fill_job(lease, sha256, options, request);
  wire::fill(plan, *request.mutable_plan());
  Call call(state_->calls, state_->credentials.token, timeout_s);
  const UnderLease tie(lease, call.context());
  auto reader = state_->stub->Measure(call.context(), request);
  v1::MeasureResponse response;
  while (reader->Read(&response)) {
    if (response.event_case() == v1::MeasureResponse::kProgress) continue;
    call.context()->TryCancel();  // the first outcome counts, whatever follows
    reader->Finish();
    if (response.event_case() == v1::MeasureResponse::kFailure) {
      return wire::failure_of(response.failure(), state_->where("measure"));
    }
    return wire::estimate_of(response.result(), state_->where("measure"));
  }
  const grpc::Status status = call.status(reader->Finish());
  if (status.ok())
    return Failure{FailureKind::Unavailable, state_->where("measure") + ": ended without a result"};
  return state_->failure(status, "measure");
}

Result<std::vector<OperatorTime>> AgentClient::profile(const Lease& lease,
                                                       const std::string& sha256,
                                                       const JobOptions& options, double budget_s,
                                                       double timeout_s) {
  v1::ProfileRequest request;
  fill_job(lease, sha256, options, request);
  request.set_budget_s(budget_s);
  Call call(state_->calls, state_->credentials.token, timeout_s);
  const UnderLease tie(lease, call.context());
  v1::ProfileResponse response;
  const grpc::Status status =
      call.status(state_->stub->Profile(call.context(), request, &response));
  if (!status.ok()) return state_->failure(status, "profile");
  if (response.has_failure()) return wire::failure_of(response.failure(), state_->where("profile"));
  std::vector<OperatorTime> times;
  for (const v1::OperatorTime& time : response.operators()) {
    times.push_back({time.node(), time.operator_(), time.median_ms(), time.macs()});
  }
  return times;
}

Result<network::Tensor> AgentClient::run(const Lease& lease, const std::string& sha256,
                                         const JobOptions& options, const network::Tensor& images,
                                         double timeout_s) {
  if (images.shape.empty() || images.shape[0] < 1 ||
      network::element_count(images.shape) != static_cast<int64_t>(images.values.size())) {
    throw InvariantError("AgentClient::run: images of shape " + network::to_string(images.shape) +
                         " with " + std::to_string(images.values.size()) +
                         " values, expected [N, C, H, W] and as many");
  }
  const int64_t count = images.shape[0];
  const int64_t image_size = static_cast<int64_t>(images.values.size()) / count;
  const int64_t batch = std::max<int64_t>(
      1, static_cast<int64_t>(kChunkBytes / sizeof(float)) / std::max<int64_t>(1, image_size));
  network::Tensor result;
  for (int64_t begin = 0; begin < count; begin += batch) {
    const int64_t end = std::min(count, begin + batch);
    v1::RunRequest request;
    fill_job(lease, sha256, options, request);
    request.mutable_shape()->Add(images.shape.begin(), images.shape.end());
    request.set_shape(0, end - begin);
    request.mutable_inputs()->Add(images.values.begin() + begin * image_size,
                                  images.values.begin() + end * image_size);
    Call call(state_->calls, state_->credentials.token, timeout_s);
    const UnderLease tie(lease, call.context());
    v1::RunResponse response;
    const grpc::Status status = call.status(state_->stub->Run(call.context(), request, &response));
    if (!status.ok()) return state_->failure(status, "run");
    if (response.has_failure()) return wire::failure_of(response.failure(), state_->where("run"));
    network::Shape shape(response.shape().begin(), response.shape().end());
    const bool fits =
        !shape.empty() && shape[0] == end - begin &&
        network::element_count(shape) == static_cast<int64_t>(response.outputs().size());
    if (!fits) {
      return Failure{FailureKind::Internal,
                     state_->where("run") + ": outputs of shape " + network::to_string(shape) +
                         " with " + std::to_string(response.outputs().size()) +
                         " values, expected " + std::to_string(end - begin) + " rows"};
    }
    result.values.insert(result.values.end(), response.outputs().begin(), response.outputs().end());
    shape[0] = end;
    result.shape = shape;
  }
  return result;
}

}  // namespace lathe::latency
