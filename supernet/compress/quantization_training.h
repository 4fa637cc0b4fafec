#pragma once

#include <functional>
#include <optional>

#include "core/progress.h"
#include "network/network.h"
#include "supernet/data/batches.h"
#include "supernet/quantize_options.h"
#include "supernet/supernet.h"
#include "supernet/train/checkpoint.h"

namespace lathe::supernet {

/// What training in int8 starts from. The models must outlive the training.
struct QuantizationLesson {
  const network::Model& start;       ///< in floats
  const network::Model& calibrated;  ///< the int8 model that was made from it
  const network::Model* teacher;     ///< null: labels alone
};

/// Trains the lesson's `start` with the rounding of `calibrated`: weights a channel and activations
/// a tensor, straight-through, the activations' scales learned (Jacob et al., 2018; Esser et al.,
/// 2020). Returns the int8 model; the layers that `calibrated` keeps in fp32 stay so. Learns from
/// the labels, or half from them and half from the teacher's outputs. `data`: what a checkpoint
/// depends on besides. Returns nothing if `stop` answered true first: the next call with the same
/// training.folder continues bit by bit. \throws ConfigError for a batch norm that cannot be
/// folded, DataError if the loss stops being finite or a checkpoint cannot be written.
std::optional<network::Model> train_quantized(const QuantizationLesson& lesson,
                                              const Batches& images,
                                              const QuantizeOptions::Training& training,
                                              const SupernetOptions& options, const Identity& data,
                                              at::Device device, Progress& progress,
                                              const std::function<bool()>& stop);

}  // namespace lathe::supernet
