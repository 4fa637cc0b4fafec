#pragma once

#include <memory>
#include <vector>

#include "network/network.h"
#include "supernet/executor/executor.h"
#include "supernet/standalone.h"
#include "supernet/train/standalone_trainer.h"

namespace lathe::supernet {

/// Returns the mean of softmax(logits / temperature) over `logits`, each [N, classes]; no gradient
/// flows into it.
at::Tensor mean_probabilities(const std::vector<at::Tensor>& logits, double temperature);

/// Returns T^2 times the mean cross entropy of softmax(logits / T) against the probabilities
/// `target`, both [N, classes].
at::Tensor soft_target_loss(const at::Tensor& logits, const at::Tensor& target, double temperature);

/// Returns half the mean squared difference of two features [N, C, H, W]; the teacher's are
/// resampled (bilinear) to the student's height and width, and get no gradient.
at::Tensor hint_loss(const at::Tensor& student, const at::Tensor& teacher);

/// A trained network that only answers, with its own batch norm statistics. Not thread-safe.
class Teacher {
 public:
  /// `also`: nodes whose values are wanted besides the logits.
  Teacher(const network::Model& model, const std::vector<network::NodeId>& also, at::Device device);
  /// Returns the logits on `images` [N, C, H, W], then the values of `also`.
  std::vector<at::Tensor> outputs(const at::Tensor& images) const;

 private:
  Plan plan_;
  ModelParameters parameters_;
  StoredBatchNorm policy_;
  Executor executor_;
};

/// The loss of DistilOptions. Not thread-safe.
class Distillation : public Objective {
 public:
  Distillation(std::vector<std::unique_ptr<Teacher>> teachers, const DistilOptions& options,
               double label_smoothing);
  std::vector<at::Tensor> losses(const Batch& batch,
                                 const std::vector<std::vector<at::Tensor>>& outputs) override;

 private:
  std::vector<std::unique_ptr<Teacher>> teachers_;
  DistilOptions options_;
  double label_smoothing_;
};

}  // namespace lathe::supernet
