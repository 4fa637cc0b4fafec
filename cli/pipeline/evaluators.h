#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/pipeline/run_config.h"
#include "latency/fleet/fleet.h"
#include "search/evaluation/replay.h"

namespace lathe::latency {
class MeasurementStore;
}

namespace lathe::cli {

/// Where the latencies of a run come from, boards or tables, and its accuracies if they come from a
/// table (else they are the supernet's). Not thread-safe.
class Evaluators {
 public:
  /// Reads the tables. The boards are connected when they are first needed; what they measure is
  /// kept in `store_file`. `config` must outlive this. \throws DataError for a faulty table.
  Evaluators(const RunConfig& config, std::filesystem::path store_file);
  ~Evaluators();

  /// Refuses constraints that no entry of the tables meets, alone or together, as far as the
  /// tables know. \throws ConfigError with one line a constraint, or the nearest network, the
  /// numbers and what to do.
  void check_tables() const;

  /// The table of accuracies, or null.
  search::AccuracyEvaluator* accuracy_table() { return accuracy_.get(); }
  /// \throws DeviceError if the boards cannot be used.
  search::LatencyEvaluator& latency(const std::string& device);
  /// Those of all devices, in the configuration's order. \throws DeviceError as latency().
  std::vector<search::LatencyEvaluator*> latencies();

  /// Connects to the boards and returns what their agents say of themselves; nothing without
  /// boards. \throws DeviceError naming each agent that does not answer.
  const std::vector<latency::AgentDescription>& agents();

  /// Measures an architecture anew: as the file `onnx` in `precision`, or without one (empty) as it
  /// is searched. \throws DeviceError as latency().
  Result<latency::LatencyEstimate> measure_again(const std::string& device,
                                                 const search::Architecture& architecture,
                                                 const std::string& onnx,
                                                 latency::MeasurementPlan plan,
                                                 latency::Precision precision);
  /// Runs an int8 file on a board: images NCHW, logits [N, classes]. \throws DeviceError as
  /// latency(), or if the board fails for good.
  network::Tensor run(const std::string& device, const std::string& onnx,
                      const network::Tensor& images);

 private:
  search::Metrics table_values(const search::Architecture& architecture) const;
  void check_together() const;
  latency::Fleet& fleet();

  const RunConfig& config_;
  std::filesystem::path store_file_;
  std::unique_ptr<search::ReplayAccuracy> accuracy_;
  std::map<std::string, std::unique_ptr<search::ReplayLatency>> tables_;  ///< by device
  std::unique_ptr<latency::MeasurementStore> store_;
  std::unique_ptr<latency::Fleet> fleet_;
  std::vector<latency::AgentDescription> agents_;
};

}  // namespace lathe::cli
