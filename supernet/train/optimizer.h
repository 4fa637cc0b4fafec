#pragma once

#include <cstdint>

#include "supernet/weights/shared_weights.h"

namespace lathe::supernet {

/// The learning rate over a run: linear warm-up from zero, then cosine to zero.
struct LearningRateSchedule {
  double peak = 0.1;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  /// Returns the rate of step 0, 1, ... total_steps - 1.
  double at(int64_t step) const;
};

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 0.0;   ///< on convolution and linear weights only
  double gradient_clip = 0.0;  ///< by value; 0: none
};

/// SGD with Nesterov momentum over the flat buffer of shared weights. Not thread-safe.
class Sgd {
 public:
  Sgd(SharedWeights& weights, const SgdOptions& options);
  /// Applies the accumulated gradients and sets them to zero.
  void step(double learning_rate);
  at::Tensor& momentum() { return momentum_; }  ///< [parameters], the velocity

 private:
  SharedWeights& weights_;
  SgdOptions options_;
  at::Tensor momentum_;
};

}  // namespace lathe::supernet
