#include "supernet/compress/distillation.h"

#include <utility>

#include "supernet/train/losses.h"

namespace lathe::supernet {

at::Tensor hint_loss(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor wanted = resized(teacher.detach(), student.size(2), student.size(3));
  return 0.5 * (student - wanted).square().mean();
}

Distillation::Distillation(std::vector<Teacher> teachers, const DistilOptions& options,
                           double label_smoothing)
    : teachers_(std::move(teachers)), options_(options), label_smoothing_(label_smoothing) {}

std::vector<at::Tensor> Distillation::losses(const Batch& batch,
                                             const std::vector<std::vector<at::Tensor>>& outputs) {
  std::vector<std::vector<at::Tensor>> taught;
  for (const Teacher& teacher : teachers_) taught.push_back(teacher.outputs(batch.images));
  std::vector<at::Tensor> losses;
  for (size_t s = 0; s < outputs.size(); ++s) {
    std::vector<at::Tensor> targets;
    for (const auto& of_teacher : taught) targets.push_back(of_teacher[0]);
    for (size_t peer = 0; peer < outputs.size(); ++peer) {
      if (peer != s) targets.push_back(outputs[peer][0]);
    }
    at::Tensor loss = cross_entropy(outputs[s][0], batch, label_smoothing_);
    if (!targets.empty()) {
      const double temperature = options_.temperature;
      loss =
          options_.alpha * loss +
          options_.beta * soft_target_loss(outputs[s][0], mean_probabilities(targets, temperature),
                                           temperature);
    }
    const size_t hints = options_.hints.size();
    for (size_t h = 0; h < hints; ++h) {
      loss = loss + options_.hint_weight / static_cast<double>(hints) *
                        hint_loss(outputs[s][1 + h], taught[0][1 + h]);
    }
    losses.push_back(loss);
  }
  return losses;
}

}  // namespace lathe::supernet
