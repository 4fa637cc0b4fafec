#pragma once

#include "supernet/executor/kernels/rounding_kernels.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Returns x rounded to `steps` (see there), in x's memory if `in_place`. No gradients.
/// \pre has_kernels(x).
at::Tensor round_to_steps(const at::Tensor& x, const RoundingSteps<double>& steps, bool in_place);

struct RoundingGradients {
  at::Tensor x;
  double step = 0.0;  ///< does not depend on the number of threads
};

/// Returns the gradients of round_to_steps(x), whose own is `dy`, as RoundingKernels::backward.
RoundingGradients round_to_steps_backward(const at::Tensor& x, const at::Tensor& dy,
                                          const RoundingSteps<double>& steps);

}  // namespace lathe::supernet
