#include "supernet/train/optimizer.h"

#include <cmath>

namespace lathe::supernet {

double LearningRateSchedule::at(int64_t step) const {
  if (step < warmup_steps)
    return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  const auto done = static_cast<double>(step - warmup_steps);
  const auto length = static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  return 0.5 * peak * (1.0 + std::cos(M_PI * done / length));
}

Sgd::Sgd(SharedWeights& weights, const SgdOptions& options)
    : weights_(weights), options_(options), momentum_(at::zeros_like(weights.values())) {}

void Sgd::step(double learning_rate) {
  at::NoGradGuard no_gradients;
  at::Tensor& gradient = weights_.gradients();
  if (options_.gradient_clip > 0.0)
    gradient.clamp_(-options_.gradient_clip, options_.gradient_clip);
  if (options_.weight_decay > 0.0) {
    const int64_t decayed = weights_.decayed_count();
    gradient.narrow(0, 0, decayed)
        .add_(weights_.values().narrow(0, 0, decayed), options_.weight_decay);
  }
  momentum_.mul_(options_.momentum).add_(gradient);
  gradient.add_(momentum_, options_.momentum);
  weights_.values().add_(gradient, -learning_rate);
  gradient.zero_();
}

}  // namespace lathe::supernet
