#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "experiments/measurement/networks.h"
#include "latency/fleet/agent_client.h"
#include "latency/fleet/local_agent.h"

namespace lathe::study {

/// An agent that wants certificates, with one connection to it.
class TlsAgent {
 public:
  /// Makes an authority and certificates in a temporary folder, and starts the agent.
  /// \throws DeviceError if it does not start.
  TlsAgent(const std::string& agent_program, int core);
  ~TlsAgent();
  TlsAgent(const TlsAgent&) = delete;
  TlsAgent& operator=(const TlsAgent&) = delete;
  latency::AgentClient& client() { return *client_; }

 private:
  std::filesystem::path folder_;
  int process_ = -1;
  std::unique_ptr<latency::AgentClient> client_;
};

/// A local agent and one connection to it.
class Bench {
 public:
  /// Measures on `core`. `engine_agent`: an agent with ONNX Runtime, or empty. \throws DeviceError
  /// if the agent does not start.
  Bench(const std::string& agent_program, int core, const std::string& engine_agent = "");

  int core() const { return core_; }
  const std::string& agent_program() const { return agent_program_; }
  const std::string& engine_agent() const { return engine_agent_; }
  const latency::AgentDescription& board() const { return board_; }

  /// Measures under a lease of its own. \throws DeviceError if the measurement fails.
  latency::LatencyEstimate measure(const NamedNetwork& network,
                                   const latency::MeasurementPlan& plan);
  /// The same with an engine, a precision or a memory limit of one's own.
  Result<latency::LatencyEstimate> measure(const NamedNetwork& network,
                                           const latency::MeasurementPlan& plan,
                                           const latency::JobOptions& options);
  latency::AgentClient& client() { return *client_; }
  int agent_process() const { return agent_->process_id(); }

 private:
  std::string agent_program_;
  int core_;
  std::string engine_agent_;
  std::unique_ptr<latency::LocalAgent> agent_;
  std::unique_ptr<latency::AgentClient> client_;
  latency::AgentDescription board_;
  uint64_t next_job_ = 0;
};

/// Seconds of each of `count` round trips of a job whose result `client`'s agent knows.
std::vector<double> round_trips(latency::AgentClient& client, const NamedNetwork& network,
                                int count);

}  // namespace lathe::study
