#pragma once

#include "network/network.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Whether depthwise() runs this convolution: one input and output channel a group, on the CPU.
bool is_depthwise(const network::Conv2d& op, const at::Tensor& x);

/// Depthwise convolution by kernels of our own, differentiable in x and weight. oneDNN's forward is
/// several times slower on small images, and its gradient of 5 x 5 weights computes sixteen
/// channels for each one it keeps. x: [N, C, H, W] channels_last; weight: [C, 1, k, k]. Gradients
/// do not depend on the number of threads.
at::Tensor depthwise(const at::Tensor& x, const at::Tensor& weight, const network::Conv2d& op);

}  // namespace lathe::supernet
