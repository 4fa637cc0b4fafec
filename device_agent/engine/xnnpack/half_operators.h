#pragma once

#include <cstdint>

#include "device_agent/engine/xnnpack/operators.h"

namespace lathe::device::xnn::half {

// The kernels of operators.h on images of halves, with weights in fp32 that XNNPACK rounds as it
// packs them. There is one implementation for each generation of XNNPACK's interface
// (half_operators_2022.cpp, half_operators_2024.cpp). What a generation lacks in fp16 runs in fp32
// between two conversions.

/// Returns whether this core computes in fp16, and rightly: found out by a small convolution, once.
bool supported();

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups, const float* weight,
                 const float* bias, Clamp clamp, const Image& input, const Image& output);
void fully_connected(BoundKernel& kernel, const float* weight, const float* bias, Clamp clamp,
                     const Image& input, const Image& output);
void clamp(BoundKernel& kernel, Clamp clamp, const Image& input, const Image& output);
void hard_swish(BoundKernel& kernel, const Image& input, const Image& output);
void sigmoid(BoundKernel& kernel, const Image& input, const Image& output);
void copy(BoundKernel& kernel, const Image& input, const Image& output);
void channel_shuffle(BoundKernel& kernel, size_t groups, const Image& input, const Image& output);
void max_pool(BoundKernel& kernel, const Window& window, const Image& input, const Image& output);
void average_pool(BoundKernel& kernel, const Window& window, const Image& input,
                  const Image& output);
void global_average_pool(BoundKernel& kernel, const Image& input, const Image& output);
void resize_bilinear(BoundKernel& kernel, const Image& input, const Image& output);
void add(BoundKernel& kernel, Clamp clamp, const Image& a, const Image& b, const Image& output);
void multiply(BoundKernel& kernel, const Image& a, const Image& b, const Image& output);

/// Between halves and floats of one size.
void to_floats(BoundKernel& kernel, const Image& halves, const Image& floats);
void to_halves(BoundKernel& kernel, const Image& floats, const Image& halves);

/// Returns a dense image of floats, of the size of `like`, in the kernel's own memory.
Image float_scratch(BoundKernel& kernel, const Image& like);

/// Adds a kernel of operators.h that runs `input` to `output` in fp32.
template <typename AddOperator>
void through_floats(BoundKernel& kernel, const Image& input, const Image& output,
                    const AddOperator& add_operator) {
  const Image from = float_scratch(kernel, input);
  const Image to = float_scratch(kernel, output);
  to_floats(kernel, input, from);
  add_operator(from, to);
  to_halves(kernel, to, output);
}

}  // namespace lathe::device::xnn::half
