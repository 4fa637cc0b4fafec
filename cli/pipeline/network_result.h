#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "latency/measurement/latency_estimate.h"
#include "search/evaluation/evaluators.h"

namespace lathe::cli {

/// Agreement of an exported file in ONNX Runtime with LibTorch.
struct ParityResult {
  std::string runtime;
  double max_abs_error = 0.0;   ///< on logits
  double top1_agreement = 0.0;  ///< fraction of images
  int64_t images = 0;
};

/// What is known of one exported network so far; saved after every step, so that none is repeated.
struct NetworkResult {
  struct Confirmation {
    std::string conditions;  ///< what was asked for: engine, threads, precision, half-width
    latency::LatencyEstimate estimate;
  };
  std::string architecture;  ///< whose files these are
  std::string recipe;        ///< how the weights were made
  std::optional<search::AccuracyEstimate> validation;
  std::map<std::string, Confirmation> confirmed;  ///< by device
  std::optional<search::AccuracyEstimate> test;
  std::optional<ParityResult> parity;
};

/// Returns the saved result, or an empty one if there is no file. \throws DataError if it is
/// corrupt.
NetworkResult read_network_result(const std::filesystem::path& file);
/// Writes atomically. \throws DataError naming the path and reason.
void write_network_result(const std::filesystem::path& file, const NetworkResult& result);

}  // namespace lathe::cli
