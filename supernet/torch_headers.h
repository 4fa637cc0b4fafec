#pragma once

// The LibTorch headers that supernet/ needs, precompiled once, and the differences between
// LibTorch 1.13 and 2.x. torch/torch.h is not among them: it takes four times as long to compile.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/generated/variable_factories.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/version.h>

// c10::Allocator lost a const in 2.3 and got copy_data in the same version.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
#define LATHE_ALLOCATE_CONST
#define LATHE_COPY_DATA_OVERRIDE override
#else
#define LATHE_ALLOCATE_CONST const
#define LATHE_COPY_DATA_OVERRIDE
#endif

namespace lathe::supernet {

/// Runs the backward pass from a scalar loss.
inline void backward(const at::Tensor& loss) { loss.backward(); }

}  // namespace lathe::supernet
