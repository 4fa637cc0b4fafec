#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/measured_values.h"

namespace lathe::report {

/// Latency on one device as the search saw it and as fresh, longer measurements confirmed it.
struct FrontLatency {
  std::string device;
  std::optional<Latency> searched;
  std::optional<Latency> confirmed;
  std::optional<Conditions> conditions;  ///< of the confirmed measurement, else of the searched one
};

/// One block of a network, in order from input to output.
struct Block {
  std::string stage;   ///< "stem", "stage1", ..., "head"
  std::string family;  ///< "conv", "mbconv", "shuffle", "residual", "linear", ...
  int64_t kernel = 1;
  double expand = 1.0;  ///< inner width / input width; 1 where nothing expands
  int64_t width = 0;    ///< output channels
  int64_t stride = 1;
  bool squeeze_excite = false;
  std::string activation;  ///< "relu6", "hard_swish", ...; empty: none
  int64_t resolution = 0;  ///< output height and width
  int64_t macs = 0;
  double macs_share = 0.0;  ///< of the whole network, 0..1
};

/// A file of the export folder.
struct ExportedFile {
  std::string path;       ///< relative to the run folder
  std::string format;     ///< "onnx", "architecture", "model_card", "torchscript"
  std::string precision;  ///< "fp32", "int8"; empty for files without weights
  int64_t size_bytes = 0;
  std::string sha256;  ///< empty: not computed
};

/// Agreement of an exported file with the network it came from, by an independent runtime.
struct Parity {
  std::string runtime;          ///< "onnxruntime 1.18"
  double max_abs_error = 0.0;   ///< on logits
  double top1_agreement = 0.0;  ///< fraction of images 0..1
  int64_t images = 0;
};

/// What one step of compression left of a network.
struct NetworkStep {
  std::string name;  ///< "inherited", "distilled", "pruned", "int8"
  std::string note;  ///< how it went; may be empty
  Accuracy validation;
  std::vector<DeviceLatency> latencies;  ///< as confirmed
  int64_t macs = 0;
  int64_t params = 0;
  int64_t peak_memory_bytes = 0;
  int64_t weight_bytes = 0;
};

/// A network that was chosen from the searched front, in one of the precisions it is delivered in.
struct FrontNetwork {
  std::string id;  ///< "net-01", "net-01-int8": names its files too; 01 is the most
                   ///< accurate
  std::optional<std::string> precision;  ///< "fp32" or "int8"; absent: fp32
  int64_t candidate_index = 0;           ///< of the CandidateRecord it came from
  std::string architecture;
  std::string description;
  std::vector<std::string> roles;  ///< "most accurate", "fastest", "knee"; may be empty
  Accuracy validation;
  std::optional<Accuracy> test;  ///< absent until the test split was read
  std::vector<FrontLatency> latencies;
  int64_t resolution = 0;  ///< of the input, height and width
  int64_t macs = 0;
  int64_t params = 0;
  int64_t peak_memory_bytes = 0;
  int64_t model_size_bytes = 0;
  bool feasible = true;  ///< with the confirmed values
  /// The front is chosen again by confirmed values, of all precisions together: set to a network
  /// that is as good in every objective and better in one.
  std::optional<std::string> dominated_by;
  std::optional<std::vector<NetworkStep>> steps;  ///< in order; the last one made this network
  std::vector<ExportedFile> files;
  std::optional<Parity> parity;
  std::vector<Block> blocks;
};

}  // namespace lathe::report
