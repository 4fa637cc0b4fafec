#pragma once

#include <cstdint>

#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// Where a training process's memory goes, in bytes; an estimate.
struct TrainingMemory {
  int64_t weights = 0;      ///< values, gradients, momentum, and the copies that a roll-back needs
  int64_t activations = 0;  ///< of the largest network on one batch, kept for the backward pass
  int64_t images = 0;       ///< decoded, bytes
  int64_t program = 0;      ///< LibTorch itself
  int64_t total() const { return weights + activations + images + program; }
};

/// Estimates the memory of training a supernet over `space`, from its counts alone. `images`: how
/// many are held, training, calibration and validation together.
TrainingMemory estimate_training_memory(const search::SearchSpace& space,
                                        const TrainOptions& options, int64_t images);

/// \throws ConfigError if `need` is more than `available_bytes`, naming the batch that would fit.
void check_training_memory(const TrainingMemory& need, const TrainOptions& options,
                           int64_t available_bytes);

}  // namespace lathe::supernet
