#pragma once

#include <vector>

#include "supernet/standalone.h"
#include "supernet/train/standalone_trainer.h"
#include "supernet/train/teacher.h"

namespace lathe::supernet {

/// Returns half the mean squared difference of two features [N, C, H, W]; the teacher's are
/// resampled (bilinear) to the student's height and width, and get no gradient.
at::Tensor hint_loss(const at::Tensor& student, const at::Tensor& teacher);

/// The loss of DistilOptions. Not thread-safe.
class Distillation : public Objective {
 public:
  Distillation(std::vector<Teacher> teachers, const DistilOptions& options, double label_smoothing);
  std::vector<at::Tensor> losses(const Batch& batch,
                                 const std::vector<std::vector<at::Tensor>>& outputs) override;

 private:
  std::vector<Teacher> teachers_;
  DistilOptions options_;
  double label_smoothing_;
};

}  // namespace lathe::supernet
