#pragma once

#include <cstdint>

#include "device_agent/engine/xnnpack/operators.h"
#include "device_agent/engine/xnnpack/packing.h"
#include "network/network.h"

namespace lathe::device::xnn {

// The int8 kernels of the execution plan as XNNPACK operators, as in operators.h: images hold int8
// at their scales. There is one implementation for each generation of XNNPACK's interface
// (int8_operators_2022.cpp, int8_operators_2024.cpp).

/// A clamp in steps of the output.
struct Int8Clamp {
  int8_t low = -128;
  int8_t high = 127;
};

/// Returns the clamp to real numbers `limits` at an output's scale.
Int8Clamp int8_clamp(const network::TensorScale& scale, Clamp limits);

/// Per-channel weights [out, kernel, kernel, in / groups]. A fully connected layer is one with a
/// window of one pixel: the 2022 one takes one scale for all channels.
void convolution(BoundKernel& kernel, const Window& window, uint32_t groups,
                 const PackedIntegers& packed, Int8Clamp clamp, const Image& input,
                 const Image& output);
/// Input and output at one scale, here and where there is no remark on scales below.
void copy_int8(BoundKernel& kernel, const Image& input, const Image& output);
void channel_shuffle_int8(BoundKernel& kernel, size_t groups, const Image& input,
                          const Image& output);
void max_pool_int8(BoundKernel& kernel, const Window& window, const Image& input,
                   const Image& output);
void resize_bilinear_int8(BoundKernel& kernel, const Image& input, const Image& output);
/// From any scale to any.
void global_average_pool_int8(BoundKernel& kernel, const Image& input, const Image& output);
/// All images dense, at any scales.
void add_int8(BoundKernel& kernel, Int8Clamp clamp, const Image& a, const Image& b,
              const Image& output);
/// All images dense, at any scales; `b` has the pixels of `a` or one.
void multiply_int8(BoundKernel& kernel, const Image& a, const Image& b, const Image& output);
void dequantize(BoundKernel& kernel, const Image& input, const Image& output);
void quantize(BoundKernel& kernel, const Image& input, const Image& output);

/// output = kind(input) from any scale to any, by a table of the 256 values (int8_lookup.cpp): what
/// XNNPACK does for its int8 sigmoid, for every activation and at any output scale.
void lookup(BoundKernel& kernel, network::ActivationKind kind, const Image& input,
            const Image& output);

}  // namespace lathe::device::xnn
