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
#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// A network after compression, and what each step before left of it.
struct CompressedModel {
  network::Model model;
  search::AccuracyEstimate validation;
  std::vector<CompressionStep> steps;  ///< the last one made `model`
  /// Before pruning took channels; empty where it did not.
  std::optional<network::Model> unpruned;
};

/// Takes networks of the supernet through the steps that the config asks for: distil, prune,
/// quantise. Distillation, every round of pruning and training in int8 keep their state in
/// `folder`, so that a killed process goes on from there. Not thread-safe.
class Compressor {
 public:
  /// `config` must outlive this.
  Compressor(const RunConfig& config, std::filesystem::path folder);

  /// In which precisions networks are delivered: fp32, and int8 if the config says so.
  std::vector<latency::Precision> precisions() const;

  /// How the weights of a delivered network come about, besides the supernet's training: another
  /// recipe makes another network.
  std::string recipe(latency::Precision precision) const;

  /// Whether some step reports progress of its own.
  bool takes_long() const;

  /// Reads the teachers that the config names as files. \throws DataError, or ConfigError naming
  /// the one that does not fit the space.
  void read_teachers();

  /// Extracts a network from the supernet, distils and prunes it. `name` stands in the progress.
  /// Returns nothing if `stop` answered true first. \throws Error.
  std::optional<CompressedModel> make_float(const search::Architecture& architecture,
                                            const std::string& name, supernet::Supernet& supernet,
                                            Evaluators& evaluators, Progress& progress,
                                            const std::function<bool()>& stop);

  /// Quantises what make_float made. Returns nothing if `stop` answered true first. \throws Error.
  std::optional<CompressedModel> make_int8(const search::Architecture& architecture,
                                           const network::Model& model,
                                           supernet::Supernet& supernet, Progress& progress,
                                           const std::function<bool()>& stop) const;

  /// Removes the state that make_float (fp32) or make_int8 (int8) kept, once its result is saved.
  void forget(const search::Architecture& architecture, latency::Precision precision) const;

 private:
  std::optional<supernet::ExtractedModel> distilled(const search::Architecture& architecture,
                                                    const std::string& name,
                                                    const supernet::ExtractedModel& extracted,
                                                    supernet::Supernet& supernet,
                                                    Progress& progress,
                                                    const std::function<bool()>& stop);
  bool prune(CompressedModel& network, const search::Architecture& architecture,
             supernet::Supernet& supernet, Evaluators& evaluators, Progress& progress,
             const std::function<bool()>& stop);
  /// "distil-", "prune-" or "quantize-" and a digest of what the state depends on.
  std::filesystem::path state(const char* step, const search::Architecture& architecture) const;
  const network::Model& teacher(const std::string& path, supernet::Supernet& supernet);

  const RunConfig& config_;
  std::filesystem::path folder_;
  std::string float_recipe_;  ///< with digests of the teachers' files as they were at the start
  std::map<std::string, network::Model> teachers_;  ///< by path; "largest" once it was needed
};

}  // namespace lathe::cli
