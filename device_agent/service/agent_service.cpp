#include "device_agent/service/agent_service.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "device_agent/service/reactors.h"
#include "device_agent/service/wire.h"

namespace lathe::device {

namespace {

constexpr const char* kAgentVersion = LATHE_VERSION;
constexpr uint32_t kProtocolVersion = 1;
constexpr double kMaxProfile_s = 600.0;

grpc::Status invalid(const std::string& message) {
  return {grpc::StatusCode::INVALID_ARGUMENT, message};
}

// Takes the same time whatever the first difference.
bool same_secret(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

grpc::Status status_of(JobRunner::Answer answer, const std::string& job_id) {
  switch (answer) {
    case JobRunner::Answer::Accepted:
      return grpc::Status::OK;
    case JobRunner::Answer::Conflict:
      return invalid("job_id = " + job_id +
                     ", expected an id that was not used for another request");
    case JobRunner::Answer::Full:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the agent's job queue is full"};
    case JobRunner::Answer::Stopping:
      break;
  }
  return {grpc::StatusCode::UNAVAILABLE, "the agent is shutting down"};
}

// What makes two requests of one job id the same: everything but the lease.
std::string identity_of(v1::MeasureRequest request) {
  request.clear_lease_id();
  request.clear_fencing_token();
  return request.SerializeAsString();
}

grpc::ServerUnaryReactor* finish(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

AgentService::AgentService(const AgentSettings& settings, Options options)
    : settings_(settings),
      options_(std::move(options)),
      models_(options_.max_model_bytes, options_.model_capacity_bytes),
      leases_([this](const LeaseGrant& grant) { end_lease(grant); }),
      jobs_(settings),
      doctor_({settings.board_root, settings.usable_cores, settings.memory_limit_bytes,
               settings.invalid_timing}) {}

AgentService::~AgentService() {
  timers_.stop();
  jobs_.stop(0.0);
}

void AgentService::end_lease(const LeaseGrant& grant) {
  timers_.after(options_.orphan_grace_s, [this, id = grant.id] { jobs_.cancel_lease(id); });
}

void AgentService::drain(double limit_s) {
  leases_.close();
  jobs_.stop(limit_s);
  leases_.close_holder();
}

grpc::Status AgentService::authorize(const grpc::CallbackServerContext& context) const {
  if (options_.token.empty()) return grpc::Status::OK;
  const auto found = context.client_metadata().find("authorization");
  const std::string expected = "Bearer " + options_.token;
  if (found != context.client_metadata().end() &&
      same_secret(std::string(found->second.data(), found->second.size()), expected)) {
    return grpc::Status::OK;
  }
  return {grpc::StatusCode::UNAUTHENTICATED,
          found == context.client_metadata().end()
              ? "authorization is missing, expected metadata `authorization: Bearer TOKEN`"
              : "authorization is wrong, expected this agent's token"};
}

grpc::Status AgentService::admit(const std::string& lease_id, uint64_t fencing_token,
                                 const std::string& model_sha256, const v1::JobOptions& options,
                                 JobSpec& spec) {
  if (!leases_.holds(lease_id, fencing_token)) {
    return {grpc::StatusCode::FAILED_PRECONDITION,
            "lease_id = " + lease_id + ", fencing_token = " + std::to_string(fencing_token) +
                ": not the current lease (the last token is " +
                std::to_string(leases_.last_token()) + "); acquire one"};
  }
  if (!is_sha256(model_sha256))
    return invalid("model_sha256 = " + model_sha256 + ", expected 64 hexadecimal digits");
  spec.engine = options.engine().empty() ? "xnnpack" : options.engine();
  spec.threads = std::max(1, static_cast<int>(std::min<uint32_t>(options.threads(), 1U << 16U)));
  if (options.memory_limit_bytes() < 0) {
    return invalid("options.memory_limit_bytes = " + std::to_string(options.memory_limit_bytes()) +
                   ", expected 0 or more");
  }
  spec.memory_limit_bytes = options.memory_limit_bytes();
  const Result<latency::Precision> precision = from_wire(options.precision());
  if (!precision) return invalid(precision.failure().message);
  spec.precision = precision.value();
  spec.model = models_.find(model_sha256);
  if (spec.model == nullptr) {
    return {grpc::StatusCode::NOT_FOUND,
            "model_sha256 = " + model_sha256 + ": not here, upload it"};
  }
  return grpc::Status::OK;
}

grpc::ServerUnaryReactor* AgentService::Describe(grpc::CallbackServerContext* context,
                                                 const v1::DescribeRequest*,
                                                 v1::DescribeResponse* response) {
  const grpc::Status status = authorize(*context);
  if (!status.ok()) return finish(context, status);
  describe_board(settings_, *response);
  response->set_agent_version(kAgentVersion);
  response->set_protocol_version(kProtocolVersion);
  response->set_jobs_done(jobs_.jobs_done());
  response->set_queue_length(leases_.length());
  response->set_leased(leases_.held());
  response->set_draining(leases_.closed());
  response->set_max_model_bytes(options_.max_model_bytes);
  if (settings_.energy) response->set_energy_sensor(settings_.energy->name);
  for (const Finding& finding : doctor_.examine(leases_.held()))
    *response->add_findings() = to_wire(finding);
  return finish(context, grpc::Status::OK);
}

grpc::ServerWriteReactor<v1::AcquireResponse>* AgentService::Acquire(
    grpc::CallbackServerContext* context, const v1::AcquireRequest* request) {
  auto stream = std::make_shared<LeaseStream>(leases_, timers_, options_.beat_s);
  stream->open();
  const grpc::Status status = authorize(*context);
  if (!status.ok()) {
    stream->close(status);
  } else {
    stream->join(request->timeout_s());
  }
  return stream.get();
}

grpc::ServerUnaryReactor* AgentService::HasModel(grpc::CallbackServerContext* context,
                                                 const v1::HasModelRequest* request,
                                                 v1::HasModelResponse* response) {
  grpc::Status status = authorize(*context);
  if (status.ok() && !is_sha256(request->sha256())) {
    status = invalid("sha256 = " + request->sha256() + ", expected 64 hexadecimal digits");
  }
  if (status.ok()) response->set_present(models_.find(request->sha256()) != nullptr);
  return finish(context, status);
}

grpc::ServerReadReactor<v1::UploadModelRequest>* AgentService::UploadModel(
    grpc::CallbackServerContext* context, v1::UploadModelResponse* response) {
  auto reader = std::make_shared<UploadReader>(models_, *response);
  reader->open(authorize(*context));
  return reader.get();
}

grpc::ServerWriteReactor<v1::MeasureResponse>* AgentService::Measure(
    grpc::CallbackServerContext* context, const v1::MeasureRequest* request) {
  auto stream = std::make_shared<MeasureStream>(jobs_, request->job_id());
  stream->open();
  JobRunner::MeasureJob job;
  grpc::Status status = authorize(*context);
  if (status.ok() && (request->job_id().empty() || request->job_id().size() > 200)) {
    status = invalid("job_id has " + std::to_string(request->job_id().size()) +
                     " characters, expected 1 to 200");
  }
  if (status.ok()) {
    status = admit(request->lease_id(), request->fencing_token(), request->model_sha256(),
                   request->options(), job.spec);
  }
  if (status.ok()) {
    Result<latency::MeasurementPlan> plan = from_wire(request->plan());
    if (plan) {
      job.plan = *plan;
    } else {
      status = invalid(plan.failure().message);
    }
  }
  if (status.ok()) {
    job.id = request->job_id();
    job.identity = identity_of(*request);
    job.lease_id = request->lease_id();
    status = status_of(jobs_.measure(job, stream->observer()), job.id);
  }
  if (!status.ok()) stream->close(status);
  return stream.get();
}

/// Runs `work` (of the driver and the cancellation, returning a result) as a job of the request's
/// lease and answers with what it returns. The request lives until the call is finished.
template <typename Request, typename Response, typename Work>
grpc::ServerUnaryReactor* AgentService::post(grpc::CallbackServerContext& context,
                                             grpc::Status status, const Request& request,
                                             Response& response, Work work) {
  JobSpec spec;
  if (status.ok()) {
    status = admit(request.lease_id(), request.fencing_token(), request.model_sha256(),
                   request.options(), spec);
  }
  if (!status.ok()) return finish(&context, status);
  auto call = std::make_shared<JobCall>();
  call->open();
  const JobRunner::Answer answer = jobs_.post(
      request.lease_id(), call->cancellation(),
      [call, spec, work, &response](JobDriver& driver, const Cancellation& cancellation) {
        call->template answer<Response>(response, [&] { return work(driver, spec, cancellation); });
      });
  if (answer != JobRunner::Answer::Accepted) call->finish(status_of(answer, ""));
  return call.get();
}

grpc::ServerUnaryReactor* AgentService::Profile(grpc::CallbackServerContext* context,
                                                const v1::ProfileRequest* request,
                                                v1::ProfileResponse* response) {
  grpc::Status status = authorize(*context);
  const double budget_s = request->budget_s() == 0.0 ? 1.0 : request->budget_s();
  if (status.ok() && !(budget_s > 0.0 && budget_s <= kMaxProfile_s)) {
    status = invalid("budget_s = " + std::to_string(budget_s) +
                     ", expected more than 0 and at most 600");
  }
  return post(*context, std::move(status), *request, *response,
              [budget_s](JobDriver& driver, const JobSpec& spec, const Cancellation& cancellation) {
                return driver.profile(spec, budget_s, cancellation);
              });
}

grpc::ServerUnaryReactor* AgentService::Run(grpc::CallbackServerContext* context,
                                            const v1::RunRequest* request,
                                            v1::RunResponse* response) {
  return post(*context, authorize(*context), *request, *response,
              [request](JobDriver& driver, const JobSpec& spec, const Cancellation& cancellation) {
                return driver.run(spec, *request, cancellation);
              });
}

}  // namespace lathe::device
