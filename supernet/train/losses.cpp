#include "supernet/train/losses.h"

namespace lathe::supernet {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing) {
  const at::Tensor log_probability = at::log_softmax(logits, 1);
  const at::Tensor picked = at::nll_loss(log_probability, labels);
  if (label_smoothing == 0.0) return picked;
  return picked * (1.0 - label_smoothing) - log_probability.mean() * label_smoothing;
}

at::Tensor distillation(const at::Tensor& logits, const at::Tensor& teacher) {
  const at::Tensor target = at::softmax(teacher.detach(), 1);
  return -(target * at::log_softmax(logits, 1)).sum(1).mean();
}

}  // namespace lathe::supernet
