#include "supernet/train/losses.h"

namespace lathe::supernet {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing) {
  const at::Tensor log_probability = at::log_softmax(logits, 1);
  const at::Tensor picked = at::nll_loss(log_probability, labels);
  if (label_smoothing == 0.0) return picked;
  return picked * (1.0 - label_smoothing) - log_probability.mean() * label_smoothing;
}

at::Tensor cross_entropy(const at::Tensor& logits, const Batch& batch, double label_smoothing) {
  const at::Tensor loss = cross_entropy(logits, batch.labels, label_smoothing);
  if (batch.mix == 1.0) return loss;
  return batch.mix * loss +
         (1.0 - batch.mix) * cross_entropy(logits, batch.mixed_labels, label_smoothing);
}

at::Tensor mean_probabilities(const std::vector<at::Tensor>& logits, double temperature) {
  at::NoGradGuard no_gradients;
  at::Tensor sum = at::zeros_like(logits.at(0));
  for (const at::Tensor& each : logits) sum += at::softmax(each / temperature, 1);
  return sum / static_cast<double>(logits.size());
}

at::Tensor soft_target_loss(const at::Tensor& logits, const at::Tensor& target,
                            double temperature) {
  const at::Tensor log_probability = at::log_softmax(logits / temperature, 1);
  return -(target.detach() * log_probability).sum(1).mean() * (temperature * temperature);
}

at::Tensor distillation(const at::Tensor& logits, const at::Tensor& teacher, double temperature) {
  return soft_target_loss(logits, mean_probabilities({teacher}, temperature), temperature);
}

}  // namespace lathe::supernet
