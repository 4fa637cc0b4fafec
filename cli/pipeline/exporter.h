#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/network_result.h"
#include "cli/pipeline/run_config.h"
#include "core/progress.h"
#include "network/network.h"
#include "search/evaluation/candidate.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// A network of the front that was chosen for confirmation, and for export where there are weights.
struct ChosenNetwork {
  std::string id;  ///< "net-01" is the most accurate; names its folder
  search::Evaluated evaluated;
};

/// The device whose latency orders the front: the first latency objective's, else the first energy
/// objective's, or an empty string when the search has neither (then MACs order it).
std::string front_device(const search::SearchOptions& options);

/// Makes, confirms and tests the files of chosen networks, in `export/ID/` of the run folder:
/// model.onnx, architecture.json, result.json (the last alone in a run whose accuracies are a
/// table's). Every step is saved when it is done and not repeated. Not thread-safe.
class Exporter {
 public:
  Exporter(const RunConfig& config, std::filesystem::path export_folder);

  /// Chooses ExportOptions::networks from the front of the feasible (select_spread) and numbers
  /// them by falling accuracy. What was confirmed before and then broke a constraint is no winner:
  /// it stays in the list, so that it is shown, but the front is that of the others, whom its lucky
  /// measurement may have hidden.
  std::vector<ChosenNetwork> choose(const std::vector<search::Evaluated>& evaluated) const;

  std::filesystem::path folder(const ChosenNetwork& network) const;
  /// What is saved of the network; empty if there is nothing, or it was made in another way.
  NetworkResult load(const ChosenNetwork& network) const;

  /// Brings the folders into line with `chosen`: a network that is known already keeps its files
  /// under its new number, and the files of those that are not chosen any more are removed. Safe to
  /// be killed in.
  void arrange(const std::vector<ChosenNetwork>& chosen) const;

  // Whether everything that the config asks for is there.
  bool written(const ChosenNetwork& network) const;
  bool confirmed(const ChosenNetwork& network) const;
  bool tested(const ChosenNetwork& network) const;

  /// Whether every constraint is met by what is known best: confirmed, else searched.
  bool holds(const ChosenNetwork& network) const;

  /// Reads the teachers that the config names as files. \throws DataError, or ConfigError naming
  /// the one that does not fit the space.
  void read_teachers();

  /// Extracts the network, fine-tunes it if the config says so, and writes its files. Returns false
  /// if `stop` answered true first: a later call goes on with the fine-tuning. \throws Error.
  bool write_model(const ChosenNetwork& network, supernet::Supernet& supernet, Progress& progress,
                   const std::function<bool()>& stop);

  /// Measures model.onnx, or the architecture where there is no file, on every device, anew and
  /// longer than the search did. \throws DeviceError if a device fails for good.
  void confirm(const ChosenNetwork& network, Evaluators& evaluators);

  /// Test accuracy of model.onnx and, if the config asks for it, parity with ONNX Runtime on test
  /// images. \throws DataError if the parity exceeds the tolerance: such a file is not shipped.
  void test(const ChosenNetwork& network, supernet::Supernet& supernet,
            supernet::TestSplit& test_split);

 private:
  /// What is saved of every network, by architecture.
  std::map<std::string, NetworkResult> saved() const;
  bool confirmed(const NetworkResult& result) const;
  bool holds(const search::Metrics& searched, const NetworkResult& result) const;

  std::optional<supernet::ExtractedModel> tuned(const ChosenNetwork& network,
                                                const supernet::ExtractedModel& extracted,
                                                supernet::Supernet& supernet, Progress& progress,
                                                const std::function<bool()>& stop);
  std::filesystem::path checkpoint(const ChosenNetwork& network) const;

  const RunConfig& config_;
  std::filesystem::path export_folder_;
  std::map<std::string, network::Model> teachers_;  ///< those that are files, by path
};

/// Largest difference of logits that parity allows.
constexpr double kParityTolerance = 1e-4;

/// Runs `onnx` in ONNX Runtime and in LibTorch on `images` and compares.
/// \throws DataError naming `name` if a logit differs by more than kParityTolerance or a top-1
/// class differs, or if ONNX Runtime cannot be run (how to install it is in the message).
ParityResult check_parity(const std::string& name, const std::string& onnx,
                          const network::Tensor& torch_logits, const network::Tensor& images);

}  // namespace lathe::cli
