#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "latency/fleet/device_config.h"
#include "latency/measurement/latency_estimate.h"
#include "network/network.h"

namespace lathe::latency {

/// What an agent says of itself.
struct AgentDescription {
  std::string device;  ///< name of the device class that it serves; one entry a class and agent
  std::string address;
  std::string agent_version, hostname, model, soc, kernel, isa, fingerprint, governor;
  int usable_cores = 0;
  int64_t memory_bytes = 0;
  bool emulated = false;
  bool draining = false;  ///< finishes what it has and takes nothing new
  uint64_t jobs_done = 0;
  std::string energy_sensor;  ///< empty: the board cannot measure energy
  struct Engine {
    std::string name, version;
    std::vector<std::string> precisions, operators;
  };
  std::vector<Engine> engines;
  /// Something that makes measurements on the board noisy or wrong.
  struct Finding {
    std::string severity;  ///< "problem", "warning" or "note"
    std::string topic;     ///< "governor"
    std::string read;      ///< path and value
    std::string effect;    ///< what it does to measurements
    std::string remedy;    ///< the command, or what to do by hand
  };
  std::vector<Finding> findings;    ///< worst first
  std::vector<std::string> advice;  ///< problems and warnings, a sentence each
};

/// Returns what `device` asks for and the agent does not have, as "engine = tflite, expected one
/// of: xnnpack"; an empty string if it has all.
std::string missing_ability(const AgentDescription& agent, const DeviceConfig& device);

struct OperatorTime {
  std::string node, op;
  double median_ms = 0.0;
  int64_t macs = 0;
};

/// How a job is to be run on the board.
struct JobOptions {
  std::string engine;
  int threads = 1;
  Precision precision = Precision::Fp32;
  int64_t memory_limit_bytes = 0;
};

/// Exclusive use of a board, as long as this object lives and lost() is false. A thread of its own
/// watches the stream; when the lease is lost, calls in flight under it end with Unavailable.
class Lease {
 public:
  virtual ~Lease() = default;  ///< gives the board back
  virtual bool lost() const = 0;
  virtual const std::string& id() const = 0;
  virtual uint64_t fencing_token() const = 0;
};

/// The connection to one agent. Failures of the connection or of the lease have the kinds
/// Unavailable, Busy, Unauthorized and Cancelled: the job itself is unharmed and may be tried
/// again. All other kinds are the job's own. Calls block; cancel() ends them from another thread.
/// Thread-safe.
class AgentClient {
 public:
  /// Connects lazily. \throws DeviceError if a PEM file cannot be read, or for plain text beyond
  /// loopback without a token or allow_plaintext.
  AgentClient(const std::string& address, const Credentials& credentials);
  ~AgentClient();
  AgentClient(const AgentClient&) = delete;
  AgentClient& operator=(const AgentClient&) = delete;

  const std::string& address() const;

  /// Credentials that the two sides do not accept of each other are Unauthorized with the reason,
  /// until they have worked once.
  Result<AgentDescription> describe(double timeout_s);
  /// The same, waiting until `timeout_s` for an agent that cannot be connected yet.
  Result<AgentDescription> describe_patiently(double timeout_s);
  /// Waits for the board until `timeout_s`. The lease must not outlive this client.
  Result<std::unique_ptr<Lease>> acquire(const std::string& controller, double timeout_s);
  /// Sends the model unless the agent has it.
  Result<bool> provide_model(const std::string& sha256, const std::string& onnx);
  /// `timeout_s` is the board's silence that is taken as its loss, from now on to the result.
  Result<LatencyEstimate> measure(const Lease& lease, const std::string& job_id,
                                  const std::string& sha256, const JobOptions& options,
                                  const MeasurementPlan& plan, double timeout_s);
  Result<std::vector<OperatorTime>> profile(const Lease& lease, const std::string& sha256,
                                            const JobOptions& options, double budget_s,
                                            double timeout_s);
  /// Runs images [N, C, H, W] in messages of at most 1 MiB.
  Result<network::Tensor> run(const Lease& lease, const std::string& sha256,
                              const JobOptions& options, const network::Tensor& images,
                              double timeout_s);

  /// Ends every call in flight and all later ones with Cancelled. Does not block.
  void cancel();

 private:
  Result<AgentDescription> describe(double timeout_s, bool wait_for_connection);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::latency
