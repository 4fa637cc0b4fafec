#pragma once

#include <optional>

#include "network/network.h"
#include "supernet/executor/batch_norm.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Whether this is a convolution for depthwise(): one input and output channel a group.
bool is_depthwise(const network::Conv2d& op, int64_t in_channels);

/// Whether depthwise() runs it on `x`: on the CPU, in floats or doubles.
bool is_depthwise(const network::Conv2d& op, const at::Tensor& x);

/// Depthwise convolution by kernels of our own, differentiable in x and weight. oneDNN's forward is
/// several times slower on small images, and its gradient of 5 x 5 weights computes sixteen
/// channels for each one it keeps. x: [N, C, H, W] channels_last; weight: [C, 1, k, k]. Gradients
/// do not depend on the number of threads.
at::Tensor depthwise(const at::Tensor& x, const at::Tensor& weight, const network::Conv2d& op);

/// after(depthwise(before(x))) in one pass over the activations, without gradients: bit by bit what
/// the maps by themselves give.
at::Tensor depthwise_between(const at::Tensor& x, const std::optional<BatchNormMap>& before,
                             const at::Tensor& weight, const std::optional<BatchNormMap>& after,
                             const network::Conv2d& op);

}  // namespace lathe::supernet
