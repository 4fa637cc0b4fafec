#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "latency/measurement/latency_estimate.h"
#include "network/cost.h"
#include "search/evaluation/evaluators.h"

namespace lathe::cli {

/// Agreement of an exported file in ONNX Runtime with LibTorch.
struct ParityResult {
  std::string runtime;
  double max_abs_error = 0.0;   ///< on logits
  double top1_agreement = 0.0;  ///< fraction of images
  int64_t images = 0;
};

/// What one step of compression left.
struct CompressionStep {
  std::string name;                     ///< "inherited", "distilled", "pruned", "int8"
  std::string note;                     ///< how it went; may be empty
  search::AccuracyEstimate validation;  ///< after it
  network::Cost cost;                   ///< of the network it left
};

/// What is known of one exported network so far; saved after every step, so that none is repeated.
struct NetworkResult {
  struct Confirmation {
    std::string conditions;  ///< what was asked for: engine, threads, precision, half-width
    double budget_s = 0.0;   ///< of board time that it was given; 0: unknown
    latency::LatencyEstimate estimate;
  };
  std::string architecture;  ///< whose files these are
  latency::Precision precision = latency::Precision::Fp32;
  std::string recipe;  ///< how the weights were made
  std::vector<CompressionStep> steps;
  std::optional<search::AccuracyEstimate> validation;
  std::map<std::string, Confirmation> confirmed;  ///< by device
  bool was_pruned = false;
  std::map<std::string, Confirmation> unpruned;  ///< by device: before pruning
  std::optional<search::AccuracyEstimate> test;
  std::optional<ParityResult> parity;
};

/// Returns the saved result, or an empty one if there is no file. \throws DataError if it is
/// corrupt.
NetworkResult read_network_result(const std::filesystem::path& file);
/// Writes atomically. \throws DataError naming the path and reason.
void write_network_result(const std::filesystem::path& file, const NetworkResult& result);

}  // namespace lathe::cli
