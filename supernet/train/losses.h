#pragma once

#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Mean cross entropy of `logits` [N, classes] against `labels` [N] with label smoothing.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing);

/// Mean cross entropy of `logits` against the softmax of `teacher` (both [N, classes]), both
/// divided by `temperature`, times its square so that gradients keep their size (Hinton et al.,
/// 2015). No gradient flows into the teacher. Equal to the Kullback-Leibler divergence up to a
/// constant.
at::Tensor distillation(const at::Tensor& logits, const at::Tensor& teacher,
                        double temperature = 1.0);

}  // namespace lathe::supernet
