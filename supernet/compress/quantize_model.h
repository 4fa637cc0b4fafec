#pragma once

#include "core/progress.h"
#include "network/network.h"
#include "supernet/data/batches.h"
#include "supernet/quantize_options.h"
#include "supernet/supernet.h"
#include "supernet/train/checkpoint.h"

namespace lathe::supernet {

/// The splits that quantisation uses, each for one thing.
struct QuantizationData {
  const Batches& train;        ///< learned from, if it is trained
  const Batches& calibration;  ///< ranges, biases and sensitivities
  const Batches& validation;   ///< accuracies of the report, and how many layers stay in fp32
  Identity identity;           ///< of the data, for checkpoints
};

/// Makes an int8 model of a float one: equalises, calibrates, rounds, corrects biases, keeps
/// sensitive layers in fp32, trains, as the options say. Of the calibrated and the trained model
/// the more accurate is returned; nothing if `stop` answered true while it was trained. \throws
/// ConfigError for options that do not fit the model.
std::optional<QuantizedModel> quantize_model(const network::Model& model,
                                             const network::Model* teacher,
                                             const QuantizationData& data,
                                             const QuantizeOptions& options,
                                             const SupernetOptions& supernet, at::Device device,
                                             Progress& progress, const std::function<bool()>& stop);

}  // namespace lathe::supernet
