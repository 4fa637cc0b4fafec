#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/pipeline/compressor.h"
#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/network_result.h"
#include "cli/pipeline/run_config.h"
#include "core/progress.h"
#include "network/network.h"
#include "search/evaluation/candidate.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// A network of the front that was chosen for confirmation, and for export where there are weights,
/// in one of the precisions it is delivered in.
struct ChosenNetwork {
  std::string id;  ///< "net-01" is the most accurate, "net-01-int8" its int8; names its folder
  search::Evaluated evaluated;
  latency::Precision precision = latency::Precision::Fp32;
};

/// Makes, confirms and tests the files of chosen networks, in `export/ID/` of the run folder:
/// model.onnx, architecture.json, preprocessing.json, result.json (the last alone in a run whose
/// accuracies are a table's), and where channels were pruned or int8 is made besides trained.onnx
/// (with batch norms) and unpruned.onnx. Every step is saved when it is done and not repeated. Not
/// thread-safe.
class Exporter {
 public:
  Exporter(const RunConfig& config, std::filesystem::path export_folder);

  /// Tells which boards are there now. What was confirmed on a board of another fingerprint, under
  /// the same device name, then counts as not confirmed.
  void set_boards(const std::vector<latency::AgentDescription>& agents);

  /// Chooses ExportOptions::networks from the front of the feasible (select_spread) and numbers
  /// them by falling accuracy; each stands once for every precision, fp32 first. What was confirmed
  /// before and then broke a constraint in all of them is no winner: it stays in the list, so that
  /// it is shown, but the front is that of the others, whom its lucky measurement may have hidden.
  std::vector<ChosenNetwork> choose(const std::vector<search::Evaluated>& evaluated) const;

  std::filesystem::path folder(const ChosenNetwork& network) const;
  /// What is saved of the network; empty if there is nothing, or it was made in another way.
  NetworkResult load(const ChosenNetwork& network) const;

  /// Brings the folders into line with `chosen`: a network that is known already keeps its files
  /// under its new number. Those that are not chosen any more are put aside, and come back with the
  /// next arrange() that has them. Safe to be killed in.
  void arrange(const std::vector<ChosenNetwork>& chosen) const;
  /// Removes what was put aside.
  void remove_unchosen() const;

  // Whether everything that the config asks for is there.
  bool written(const ChosenNetwork& network) const;
  bool confirmed(const ChosenNetwork& network) const;
  bool tested(const ChosenNetwork& network) const;

  /// The fp32 network that an int8 one was made of; itself in fp32.
  ChosenNetwork in_float(const ChosenNetwork& network) const;

  /// What is known best of the network as it is delivered: confirmed, else searched.
  search::Metrics metrics(const ChosenNetwork& network) const;
  /// Whether every constraint is met by metrics().
  bool holds(const ChosenNetwork& network) const;

  Compressor& compressor() { return compressor_; }

  /// Makes the network, as Compressor does, and writes its files; in int8 from those of its fp32
  /// network, which must be written. Returns false if `stop` answered true first: a later call goes
  /// on from there. \throws Error.
  bool write_model(const ChosenNetwork& network, supernet::Supernet& supernet,
                   Evaluators& evaluators, Progress& progress, const std::function<bool()>& stop);

  /// Measures model.onnx, or the architecture where there is no file, on every device, anew and
  /// longer than the search did; unpruned.onnx, too. \throws DeviceError if a device fails for
  /// good.
  void confirm(const ChosenNetwork& network, Evaluators& evaluators);

  /// Test accuracy of model.onnx, in int8 as a board's engine computes it, and, if the config asks
  /// for it, parity with ONNX Runtime on test images. \throws DataError if the parity exceeds the
  /// tolerance: such a file is not shipped.
  void test(const ChosenNetwork& network, supernet::Supernet& supernet, Evaluators& evaluators,
            supernet::TestSplit& test_split);

 private:
  /// What is saved of every network, by architecture and precision.
  using Saved = std::map<std::pair<std::string, latency::Precision>, NetworkResult>;
  Saved saved() const;
  bool confirmed(const NetworkResult& result) const;
  /// Whether a confirmation is what the config asks for: on these boards, and not one that ended
  /// too wide for a budget that has been raised since.
  bool is_as_asked(const NetworkResult::Confirmation& confirmation,
                   const latency::DeviceConfig& device, latency::Precision precision) const;
  bool refuted(const search::Evaluated& evaluated, const Saved& known) const;
  search::Metrics metrics(const search::Metrics& searched, const NetworkResult& result) const;

  bool write_float(const ChosenNetwork& network, NetworkResult& result,
                   supernet::Supernet& supernet, Evaluators& evaluators, Progress& progress,
                   const std::function<bool()>& stop);
  bool write_int8(const ChosenNetwork& network, NetworkResult& result, supernet::Supernet& supernet,
                  Progress& progress, const std::function<bool()>& stop);
  void write_files(const ChosenNetwork& network, const network::Model& deployed,
                   const supernet::DataSummary& data) const;
  void confirm_file(const ChosenNetwork& network, const std::string& file, NetworkResult& result,
                    std::map<std::string, NetworkResult::Confirmation>& confirmed,
                    Evaluators& evaluators) const;

  const RunConfig& config_;
  std::filesystem::path export_folder_;
  Compressor compressor_;
  std::map<std::string, std::set<std::string>> boards_;  ///< fingerprints by device
};

}  // namespace lathe::cli
