#pragma once

#include "core/progress.h"
#include "network/network.h"
#include "supernet/data/batches.h"
#include "supernet/quantize_options.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// Trains `start`, a float model, with the rounding of `calibrated`, the int8 model that was made
/// from it: weights a channel and activations a tensor, straight-through, the activations' scales
/// learned (Jacob et al., 2018; Esser et al., 2020). Returns the int8 model; the layers that
/// `calibrated` keeps in fp32 stay so. Learns from the labels, or half from them and half from a
/// teacher's outputs. \throws ConfigError for a batch norm that cannot be folded, DataError if the
/// loss stops being finite.
network::Model train_quantized(const network::Model& start, const network::Model& calibrated,
                               const network::Model* teacher, const Batches& images,
                               const QuantizeOptions::Training& training,
                               const SupernetOptions& options, at::Device device,
                               Progress& progress);

}  // namespace lathe::supernet
