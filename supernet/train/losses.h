#pragma once

#include <vector>

#include "supernet/data/batches.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Mean cross entropy of `logits` [N, classes] against `labels` [N] with label smoothing.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing);

/// The same against the labels of a batch, of both images where two are mixed.
at::Tensor cross_entropy(const at::Tensor& logits, const Batch& batch, double label_smoothing);

/// Returns the mean of softmax(logits / temperature) over `logits`, each [N, classes]; no gradient
/// flows into it.
at::Tensor mean_probabilities(const std::vector<at::Tensor>& logits, double temperature);

/// Returns T^2 times the mean cross entropy of softmax(logits / T) against the probabilities
/// `target`, both [N, classes]; no gradient flows into the target.
at::Tensor soft_target_loss(const at::Tensor& logits, const at::Tensor& target, double temperature);

/// Mean cross entropy of `logits` against the softmax of `teacher` (both [N, classes]), both
/// divided by `temperature`, times its square so that gradients keep their size (Hinton et al.,
/// 2015). No gradient flows into the teacher. Equal to the Kullback-Leibler divergence up to a
/// constant.
at::Tensor distillation(const at::Tensor& logits, const at::Tensor& teacher,
                        double temperature = 1.0);

}  // namespace lathe::supernet
