#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "network/network.h"

namespace lathe::network {

struct OnnxExportOptions {
  std::string graph_name = "lathe";
  /// false: batch dimension 1. true: a symbolic batch dimension "N".
  bool dynamic_batch = false;
  /// Stored as metadata_props of the model, for example {"lathe.architecture": "..."}.
  std::map<std::string, std::string> metadata;
};

/// Returns the model as ONNX bytes (opset 17, IR version 8), with its weights inside. relu6 is
/// Clip, swish is Sigmoid and Mul, negated relu is Neg and Relu, channel shuffle is Reshape,
/// Transpose, Reshape. A quantised model is written as QDQ: int8 weights and int32 biases with
/// DequantizeLinear behind them, and every output with a scale through QuantizeLinear and
/// DequantizeLinear (int8, one scale a tensor).
std::string to_onnx(const Model& model, const OnnxExportOptions& options = {});

/// The same without weights: every initialiser is external data at `lathe:random?seed=N`, so that a
/// candidate for measurement is a few kilobytes. import_onnx fills it by random_weights(network,
/// N).
std::string to_onnx_without_weights(const Network& network, uint64_t seed);

struct OnnxLimits {
  size_t max_bytes = size_t{256} << 20;      ///< of the file
  size_t max_graph_bytes = size_t{8} << 20;  ///< of the file besides weight values
  size_t max_nodes = 10000;
  int64_t max_parameters = int64_t{64} << 20;          ///< float values
  int64_t max_activation_elements = int64_t{1} << 28;  ///< of one tensor
};

/// Reads an ONNX model of lathe's operators; a symbolic batch is read as 1. Recognises what to_onnx
/// writes (swish, hard-swish, channel shuffle) and the common spellings of other exporters (Gemm,
/// MatMul + Add, ReduceMean over H and W, Clip with bounds 0 and 6, Constant nodes, Dropout and
/// Identity). A file with QuantizeLinear or DequantizeLinear becomes a quantised model (symmetric
/// int8 weights, int8 or uint8 activations, int32 biases); layers with float weights are its float
/// islands, and a layer with int8 weights must have int8 inputs and outputs. Never reads another
/// file: external data other than `lathe:random` is refused. \throws DataError naming
/// the node and operator, or the byte limit, for anything malformed, too large or unsupported.
/// Never crashes on hostile input.
/// `bytes` are freed before weights are read: move them in where memory is scarce.
Model import_onnx(std::string bytes, const OnnxLimits& limits = {});

/// The same of a file. \throws DataError as import_onnx, and as read_file, naming the file.
Model read_onnx_file(const std::filesystem::path& file, const OnnxLimits& limits = {});

}  // namespace lathe::network
