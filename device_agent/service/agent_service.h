#pragma once

#include <memory>
#include <string>

#include "device_agent/board/doctor.h"
#include "device_agent/service/job_runner.h"
#include "device_agent/service/lease_queue.h"
#include "device_agent/service/model_store.h"
#include "device_agent/service/timers.h"
#include "lathe/v1/device_agent.grpc.pb.h"

namespace lathe::device {

/// lathe.v1.DeviceAgent over gRPC's callback interface: handlers validate and post. Shutdown order:
/// drain(), then the server's Shutdown, then destruction. Thread-safe.
class AgentService final : public v1::DeviceAgent::CallbackService {
 public:
  struct Options {
    std::string token;  ///< empty: no token is asked for
    int64_t max_model_bytes = int64_t{256} << 20;
    int64_t model_capacity_bytes = int64_t{256} << 20;
    double orphan_grace_s =
        1.0;              ///< how long a job outlives its lease, for a controller that comes back
    double beat_s = 5.0;  ///< between signs of life to those who hold the board or wait for it
  };

  /// `settings` must outlive the service.
  AgentService(const AgentSettings& settings, Options options);
  ~AgentService() override;

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest* request,
                                     v1::DescribeResponse* response) override;
  grpc::ServerWriteReactor<v1::AcquireResponse>* Acquire(
      grpc::CallbackServerContext* context, const v1::AcquireRequest* request) override;
  grpc::ServerUnaryReactor* HasModel(grpc::CallbackServerContext* context,
                                     const v1::HasModelRequest* request,
                                     v1::HasModelResponse* response) override;
  grpc::ServerReadReactor<v1::UploadModelRequest>* UploadModel(
      grpc::CallbackServerContext* context, v1::UploadModelResponse* response) override;
  grpc::ServerWriteReactor<v1::MeasureResponse>* Measure(
      grpc::CallbackServerContext* context, const v1::MeasureRequest* request) override;
  grpc::ServerUnaryReactor* Profile(grpc::CallbackServerContext* context,
                                    const v1::ProfileRequest* request,
                                    v1::ProfileResponse* response) override;
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context, const v1::RunRequest* request,
                                v1::RunResponse* response) override;

  /// Refuses new leases and jobs, lets the current job end within `limit_s`, then closes every
  /// stream.
  void drain(double limit_s);
  /// Returns whether a controller holds the board now.
  bool leased() const { return leases_.held(); }

 private:
  grpc::Status authorize(const grpc::CallbackServerContext& context) const;
  /// OK and `spec` filled, or why the job cannot be taken.
  grpc::Status admit(const std::string& lease_id, uint64_t fencing_token,
                     const std::string& model_sha256, const v1::JobOptions& options, JobSpec& spec);
  template <typename Request, typename Response, typename Work>
  grpc::ServerUnaryReactor* post(grpc::CallbackServerContext& context, grpc::Status status,
                                 const Request& request, Response& response, Work work);
  void end_lease(const LeaseGrant& grant);

  const AgentSettings& settings_;
  const Options options_;
  ModelStore models_;
  Timers timers_;
  LeaseQueue leases_;
  JobRunner jobs_;
  Doctor doctor_;
};

}  // namespace lathe::device
