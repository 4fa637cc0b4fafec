#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/config.h"
#include "network/network.h"
#include "network/range_observer.h"
#include "search/evaluation/evaluators.h"

namespace lathe::supernet {

/// How a trained network becomes an int8 network.
struct QuantizeOptions {
  network::RangeOptions range;       ///< of activations, on the calibration split
  int64_t calibration_images = 512;  ///< of the calibration split
  bool clip_weights = false;         ///< weight scales with the least squared error
  bool equalize = false;             ///< cross-layer equalisation before
  bool correct_bias = true;          ///< take the mean error of every layer out of its bias
  /// Layers are kept in fp32, the most sensitive first, until the loss of validation top-1 is at
  /// most this, or there are `float_layers` of them.
  double max_loss = 0.01;
  int64_t float_layers = 0;
  int64_t sensitivity_images = 128;  ///< for the table of layers; 0: none

  /// Training with rounding in the loop, from the calibrated network.
  struct Training {
    double epochs = 0;  ///< 0: none
    double learning_rate = 0.005;
    bool binary_weights = false;  ///< sign times mean magnitude; first and last layer in int8
    uint64_t seed = 1;
    /// Where the state is kept, to go on after an interruption, in a file named after all that the
    /// outcome depends on; the caller removes the folder. Empty: nowhere.
    std::filesystem::path folder;
  };
  Training training;
};

/// One layer's part in the loss.
struct LayerSensitivity {
  std::string node;
  std::string op;         ///< network::operator_name
  int64_t weights = 0;    ///< values
  double sqnr_db = 0.0;   ///< of the logits when this layer alone is in int8
  bool is_float = false;  ///< kept in fp32
};

/// What was done and what it cost, on the validation split.
struct QuantizationReport {
  std::string observer;
  int64_t calibration_images = 0;
  int64_t equalized_pairs = 0;
  int64_t relu6_kept = 0;                ///< pairs that could not be equalised
  search::AccuracyEstimate before;       ///< the float network
  search::AccuracyEstimate calibrated;   ///< int8 without training
  search::AccuracyEstimate trained;      ///< int8 after training; no images: not trained
  search::AccuracyEstimate after;        ///< of the model that was returned: the better of the two
  bool is_trained = false;               ///< whether that is the trained one
  std::vector<LayerSensitivity> layers;  ///< in the network's order; see sensitivity_images
};

struct QuantizedModel {
  network::Model model;  ///< has a quantization
  QuantizationReport report;
};

/// What `compress: {quantize: ...}` asks for. `quantize: int8` means all defaults.
struct QuantizeConfig {
  bool enabled = false;
  QuantizeOptions options;
};

/// Reads the key `quantize` of the section `compress`, recording faults in its document.
QuantizeConfig read_quantize_config(ConfigSection& compress);

}  // namespace lathe::supernet
