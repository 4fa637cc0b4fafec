#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "latency/fleet/agent_client.h"
#include "latency/fleet/board_status.h"
#include "latency/fleet/device_config.h"
#include "latency/fleet/local_agent.h"
#include "latency/measurement/latency_estimate.h"
#include "search/evaluation/evaluators.h"

namespace lathe::latency {

class MeasurementStore;
struct FleetOptions;

/// The boards of a run. Owns the connections, one queue a device class and its worker threads;
/// agents that are lost are retried with back-off and their jobs go to another board of the class.
/// Device classes without agents share one LocalAgent that the fleet starts, restarts when it was
/// killed, and stops. Thread-safe.
///
/// A job fails as Unavailable when no board took it for DeviceConfig::give_up_s, as Crashed after
/// its worker died twice, and with the agent's own failure kind otherwise. Losses and returns of
/// agents are logged. Shutdown order: queues are closed, calls in flight cancelled, threads joined,
/// the local agent stopped.
class Fleet {
 public:
  /// Results are looked up in and added to `store`, if given, which must outlive the fleet.
  /// \throws DeviceError if the local agent is needed and cannot be started, or credentials cannot
  /// be used.
  Fleet(std::vector<DeviceConfig> devices, MeasurementStore* store, std::string controller_name);
  Fleet(std::vector<DeviceConfig> devices, MeasurementStore* store, std::string controller_name,
        const FleetOptions& options, const LocalAgent::Options& local_options = {});
  /// Cancels what is queued, waits for what is in flight to stop.
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  /// Asks every agent of every class, at once. \throws DeviceError naming each agent that does not
  /// answer within `timeout_s`.
  std::vector<AgentDescription> describe(double timeout_s);

  /// How every board of every class is doing now.
  std::vector<BoardStatus> boards() const;

  /// Process id of the local agent, for tests and messages; 0 if there is none or it is being
  /// restarted.
  int local_process_id() const;

  /// The evaluator of the class called `device`; lives as long as the fleet. It answers from the
  /// store unless MeasurementPlan::fresh; candidates of one structure that are in flight together
  /// are measured once. \throws ConfigError if there is no such device.
  search::LatencyEvaluator& evaluator(const std::string& device);

  /// Measures an ONNX file of any origin, always afresh; the result is stored. `precision`: another
  /// than the class's. \throws ConfigError as evaluator().
  Result<LatencyEstimate> measure_model(const std::string& device, const std::string& onnx,
                                        const MeasurementPlan& plan,
                                        std::optional<Precision> precision = std::nullopt);
  /// Per-operator times of an ONNX file.
  Result<std::vector<OperatorTime>> profile_model(const std::string& device,
                                                  const std::string& onnx, double budget_s);
  /// Runs an ONNX file on a board of the class. `images` is NCHW; the result is [N, classes].
  Result<network::Tensor> run_model(const std::string& device, const std::string& onnx,
                                    const network::Tensor& images,
                                    std::optional<Precision> precision = std::nullopt);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::latency
