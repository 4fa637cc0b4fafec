#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "latency/fleet/fleet.h"
#include "search/evaluation/replay.h"
#include "search/space/search_space.h"
#include "search/strategy/search_options.h"
#include "supernet/compress/prune_options.h"
#include "supernet/quantize_options.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// Fine-tuning of the chosen networks from their inherited weights. 0 epochs: none.
struct DistilOptions {
  double epochs = 0.0;
  double learning_rate = 0.02;
  double warmup_epochs = 0.0;
  /// "largest" (the supernet's), or ONNX files; several are an ensemble, none leaves the labels.
  std::vector<std::string> teachers = {"largest"};
  bool mutual = false;           ///< the teachers learn along, from the network and each other
  supernet::DistilOptions loss;  ///< what is learned from them
};

struct ExportOptions {
  int networks = 5;   ///< chosen from the front, spread over it, ends included
  bool check = true;  ///< parity against ONNX Runtime
  int64_t check_images = 1000;
  double confirm_half_width = 0.005;  ///< of the confirmed latency's interval, relative
  double confirm_budget_s = 20.0;     ///< board time a network
};

/// One run, read from a config file, with every default filled in.
struct RunConfig {
  std::filesystem::path file;
  std::string name;
  uint64_t seed = 1;
  std::filesystem::path folder;
  std::filesystem::path measurements;  ///< the measurement store; empty: in the run folder
  std::filesystem::path space_file;
  std::shared_ptr<const search::SearchSpace> space;
  /// Set: accuracies are looked up in a table, and nothing is trained or exported.
  std::optional<search::ReplayOptions> accuracy;
  supernet::SupernetOptions supernet;
  /// In the file's order. Of a device that is a table only the name, the engine "replay" and the
  /// plan mean something.
  std::vector<latency::DeviceConfig> devices;
  std::map<std::string, search::ReplayOptions> tables;  ///< the devices that are tables, by name
  search::SearchOptions search;
  DistilOptions distil;
  supernet::PruneOptions prune;       ///< of the chosen networks, after they were distilled
  supernet::QuantizeConfig quantize;  ///< and then their int8
  ExportOptions exported;
  /// To compare with: names of published networks, and ONNX files; none without boards.
  std::vector<std::string> baselines;
  std::string yaml;      ///< the file after overrides
  std::string command;   ///< that repeats the run, for a shell
  std::string identity;  ///< what run_identity() returned

  /// The devices that are boards.
  std::vector<latency::DeviceConfig> boards() const;
  /// Whether the search has an objective or a constraint on `device`.
  bool searches(const std::string& device) const;
};

/// Reads the config and the space it names. Relative paths in it are beside `original`, if given,
/// else beside `file`. \throws ConfigError with every fault of the files, each as file:line.
RunConfig read_run_config(const std::filesystem::path& file,
                          const std::vector<std::string>& overrides,
                          const std::filesystem::path& folder = {},
                          const std::filesystem::path& original = {});

/// Reads the file of the supernet's teacher, unless there is none or it was read before.
/// \throws DataError if it is not a model.
void load_teacher(supernet::SupernetOptions& options);

}  // namespace lathe::cli
