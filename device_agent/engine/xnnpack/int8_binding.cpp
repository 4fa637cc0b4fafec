#include "device_agent/engine/xnnpack/int8_binding.h"

#include <utility>
#include <variant>

#include "core/error.h"
#include "device_agent/engine/xnnpack/int8_operators.h"

namespace lathe::device::xnn {

namespace {

/// A depthwise convolution that multiplies every value, or the sum of a window, by `factor`.
PackedIntegers constant_weights(const Window& window, size_t channels, float factor) {
  PackedIntegers packed;
  packed.weight.assign(window.kernel * window.kernel * channels, 1);
  packed.scales.assign(channels, factor);
  return packed;
}

void bind_layer(const PlanStep& step, const network::Node& node, const StepImages& images,
                WeightPacker& packer, BoundKernel& kernel) {
  const auto& [in, second, out] = images;
  const auto channels = static_cast<uint32_t>(in.channels);
  const Int8Clamp limits = int8_clamp(out.scale, {step.low, step.high});
  switch (step.kernel) {
    case Kernel::Convolution: {
      const auto& op = std::get<network::Conv2d>(node.op);
      return convolution(kernel, window(op), static_cast<uint32_t>(op.groups),
                         packer.int8_convolution(node, in.scale.scale), limits, in, out);
    }
    case Kernel::FullyConnected:
      return convolution(kernel, {}, 1,
                         packer.int8_linear(node, step.flattened_pixels, in.scale.scale), limits,
                         in, out);
    case Kernel::Affine:
      return convolution(kernel, {}, channels,
                         packer.int8_affine(node, in.channels, in.scale.scale), limits, in, out);
    case Kernel::Subsample: {
      Window every;
      every.stride = window(node).stride;
      return convolution(kernel, every, channels, constant_weights(every, in.channels, 1.0F),
                         limits, in, out);
    }
    case Kernel::AveragePool: {
      const Window all = window(node);
      const float share = 1.0F / static_cast<float>(all.kernel * all.kernel);
      return convolution(kernel, all, channels, constant_weights(all, in.channels, share), limits,
                         in, out);
    }
    default:
      throw InvariantError("xnn::bind_int8: kernel = " + std::string(to_string(step.kernel)) +
                           ", expected one with weights");
  }
}

}  // namespace

void bind_int8(const PlanStep& step, const network::Node& node, const StepImages& images,
               WeightPacker& packer, BoundKernel& kernel) {
  const auto& [in, second, out] = images;
  switch (step.kernel) {
    case Kernel::Lookup:
      return lookup(kernel, step.function, in, out);
    case Kernel::Dequantize:
      return dequantize(kernel, in, out);
    case Kernel::Quantize:
      return quantize(kernel, in, out);
    case Kernel::Add:
      return add_int8(kernel, int8_clamp(out.scale, {step.low, step.high}), in, second, out);
    case Kernel::Multiply:
      return multiply_int8(kernel, in, second, out);
    case Kernel::Copy:
      return copy_int8(kernel, in, out);
    case Kernel::Shuffle: {
      const auto groups = std::get<network::ChannelShuffle>(node.op).groups;
      return channel_shuffle_int8(kernel, static_cast<size_t>(groups), in, out);
    }
    case Kernel::MaxPool:
      return max_pool_int8(kernel, window(node), in, out);
    case Kernel::GlobalAveragePool:
      return global_average_pool_int8(kernel, in, out);
    case Kernel::Resize:
      return resize_bilinear_int8(kernel, in, out);
    default:
      return bind_layer(step, node, images, packer, kernel);
  }
}

}  // namespace lathe::device::xnn
