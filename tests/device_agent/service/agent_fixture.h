#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device_agent/engine/engines.h"
#include "device_agent/service/agent_server.h"
#include "lathe/v1/device_agent.grpc.pb.h"
#include "tests/device_agent/service/fault_engines.h"

namespace lathe::device::testing {

/// Whether memory limits mean nothing: the address sanitizer reserves terabytes and ends the
/// process itself.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kMemoryLimitsWork = false;
#else
constexpr bool kMemoryLimitsWork = true;
#endif

/// A lease on an agent for as long as it lives.
class HeldLease {
 public:
  HeldLease(v1::DeviceAgent::Stub& stub, const std::string& token = "", double timeout_s = 0.0);
  ~HeldLease() { end(); }
  HeldLease(const HeldLease&) = delete;
  HeldLease& operator=(const HeldLease&) = delete;
  /// Reads until the lease is granted; false: the stream ended instead.
  bool wait();
  /// Reads one message; false: the stream ended.
  bool read(v1::AcquireResponse& message) { return stream_->Read(&message); }
  grpc::Status end();
  const v1::Lease& lease() const { return lease_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::AcquireResponse>> stream_;
  v1::Lease lease_;
  bool ended_ = false;
};

/// What one Measure stream gave.
struct Measured {
  grpc::Status status;
  int progress = 0;
  v1::LatencyResult result;
  v1::JobFailure failure;
};

/// An agent in this process on a free loopback port, whose workers are the program
/// lathe-test-agent.
class AgentFixture {
 public:
  explicit AgentFixture(const ServerOptions& options = {}, double grace_s = 5.0,
                        const std::filesystem::path& board_root = "/");

  v1::DeviceAgent::Stub& stub() { return *stub_; }
  AgentServer& server() { return *server_; }
  const AgentSettings& settings() const { return settings_; }

  /// Uploads a model and returns its SHA-256; requires success.
  std::string upload(const std::string& bytes);
  /// Measures under `lease`; `on_progress` is called with every progress message.
  Measured measure(const v1::MeasureRequest& request,
                   const std::function<void()>& on_progress = nullptr);
  /// A request that any machine can fulfil quickly.
  static v1::MeasureRequest quick_request(const v1::Lease& lease, const std::string& job_id,
                                          const std::string& sha256,
                                          const std::string& engine = "spin");

 private:
  EngineRegistry engines_;
  AgentSettings settings_;
  std::unique_ptr<AgentServer> server_;
  std::unique_ptr<v1::DeviceAgent::Stub> stub_;
};

/// A small convolutional network as ONNX; different for different seeds.
std::string small_model(uint64_t seed = 1);

/// Process ids of this process's children.
std::vector<int> child_processes();

}  // namespace lathe::device::testing
