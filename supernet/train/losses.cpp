#include "supernet/train/losses.h"

namespace lathe::supernet {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing) {
  const at::Tensor log_probability = at::log_softmax(logits, 1);
  const at::Tensor picked = at::nll_loss(log_probability, labels);
  if (label_smoothing == 0.0) return picked;
  return picked * (1.0 - label_smoothing) - log_probability.mean() * label_smoothing;
}

at::Tensor distillation(const at::Tensor& logits, const at::Tensor& teacher, double temperature) {
  const at::Tensor target = at::softmax(teacher.detach() / temperature, 1);
  const at::Tensor log_probability = at::log_softmax(logits / temperature, 1);
  return -(target * log_probability).sum(1).mean() * (temperature * temperature);
}

}  // namespace lathe::supernet
