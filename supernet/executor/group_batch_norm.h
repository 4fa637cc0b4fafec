#pragma once

// Batch norm over a batch of which several processes each have a part.

#include <vector>

#include "supernet/distributed/communicator.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Mean and biased variance of every channel, and over how many values each was taken.
struct GroupMoments {
  std::vector<double> mean, variance;
  double count = 0;
};

/// Sums of dy and of dy * (x - mean) over the values of every channel.
struct GradientSums {
  std::vector<double> plain, product;
};

/// Return those of all processes' values together; `group` may be null: one process.
GroupMoments pooled_over(Communicator* group, GroupMoments own);
GradientSums pooled_over(Communicator* group, GradientSums own);

/// Normalises x [N, C, ...] by the moments of all processes' values, in LibTorch's operators: for
/// devices without kernels. Differentiable.
at::Tensor group_batch_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                            double epsilon, Communicator& group);

/// Returns the dimensions that statistics of a channel run over: 0, 2, 3, ...
std::vector<int64_t> all_but_channels(const at::Tensor& x);

}  // namespace lathe::supernet
