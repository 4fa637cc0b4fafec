// The int8 operators of XNNPACK's interface from 2023 on: create, reshape and set up.
#include <array>

#include "device_agent/engine/xnnpack/bound_kernel.h"
#include "device_agent/engine/xnnpack/int8_operators.h"

namespace lathe::device::xnn {

namespace {

int8_t zero_point(const Image& image) { return static_cast<int8_t>(image.scale.zero_point); }

xnn_quantization_params quantization(const Image& image) {
  return {image.scale.zero_point, image.scale.scale};
}

void convert(BoundKernel& kernel, xnn_datatype from, xnn_datatype to, const Image& input,
             const Image& output) {
  const xnn_quantization_params before = quantization(input);
  const xnn_quantization_params after = quantization(output);
  xnn_operator_t op = nullptr;
  check(xnn_create_unary_elementwise_nc(xnn_unary_convert, from, to, nullptr, &before, &after, 0,
                                        &op),
        "conversion");
  kernel.add(op);
  check(xnn_reshape_unary_elementwise_nc(op, input.pixels(), input.channels, input.stride,
                                         output.stride, kernel.pool()),
        "conversion reshape");
  check(xnn_setup_unary_elementwise_nc(op, input.data, output.data), "conversion set-up");
}

void binary(BoundKernel& kernel, xnn_binary_operator type, const Image& a, const Image& b,
            const Image& output) {
  const xnn_quantization_params first_scale = quantization(a);
  const xnn_quantization_params second_scale = quantization(b);
  const xnn_quantization_params output_scale = quantization(output);
  xnn_operator_t op = nullptr;
  check(xnn_create_binary_elementwise_nd(type, xnn_datatype_qint8, &first_scale, &second_scale,
                                         &output_scale, 0, &op),
        "int8 binary operator");
  kernel.add(op);
  const std::array<size_t, 2> first{a.pixels(), a.channels};
  const std::array<size_t, 2> second{b.pixels(), b.channels};
  check(xnn_reshape_binary_elementwise_nd(op, first.size(), first.data(), second.size(),
                                          second.data(), kernel.pool()),
        "int8 binary reshape");
  check(xnn_setup_binary_elementwise_nd(op, a.data, b.data, output.data), "int8 binary set-up");
}

}  // namespace

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups,
                 const PackedIntegers& packed, Int8Clamp clamp, const Image& input,
                 const Image& output) {
  xnn_operator_t op = nullptr;
  check(
      xnn_create_convolution2d_nhwc_qs8_qc8w(
          window.padding, window.padding, window.padding, window.padding, window.kernel,
          window.kernel, window.stride, window.stride, 1, 1, groups, input.channels / groups,
          output.channels / groups, input.stride, output.stride, zero_point(input),
          input.scale.scale, packed.scales.data(), packed.weight.data(), packed.bias_or_null(),
          zero_point(output), output.scale.scale, clamp.low, clamp.high, 0, nullptr, nullptr, &op),
      "int8 convolution");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_convolution2d_nhwc_qs8_qc8w(op, 1, input.height, input.width, &bytes,
                                                &alignment, &height, &width, kernel.pool()),
        "int8 convolution reshape");
  check(xnn_setup_convolution2d_nhwc_qs8_qc8w(op, kernel.scratch(bytes), input.integers(),
                                              output.integers()),
        "int8 convolution set-up");
}

void copy_int8(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_copy_nc_x8(0, &op), "int8 copy");
  kernel.add(op);
  check(xnn_reshape_copy_nc_x8(op, input.pixels(), input.channels, input.stride, output.stride,
                               kernel.pool()),
        "int8 copy reshape");
  check(xnn_setup_copy_nc_x8(op, input.data, output.data), "int8 copy set-up");
}

void channel_shuffle_int8(BoundKernel& kernel, size_t groups, const Image& input,
                          const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_channel_shuffle_nc_x8(groups, input.channels / groups, input.stride,
                                         output.stride, 0, &op),
        "int8 channel shuffle");
  kernel.add(op);
  check(xnn_reshape_channel_shuffle_nc_x8(op, input.pixels(), kernel.pool()),
        "int8 channel shuffle reshape");
  check(xnn_setup_channel_shuffle_nc_x8(op, input.data, output.data),
        "int8 channel shuffle set-up");
}

void max_pool_int8(BoundKernel& kernel, const Window& window, const Image& input,
                   const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_max_pooling2d_nhwc_s8(window.padding, window.padding, window.padding,
                                         window.padding, window.kernel, window.kernel,
                                         window.stride, window.stride, 1, 1, -128, 127, 0, &op),
        "int8 max pooling");
  kernel.add(op);
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_max_pooling2d_nhwc_s8(op, 1, input.height, input.width, input.channels,
                                          input.stride, output.stride, &height, &width,
                                          kernel.pool()),
        "int8 max pooling reshape");
  check(xnn_setup_max_pooling2d_nhwc_s8(op, input.integers(), output.integers()),
        "int8 max pooling set-up");
}

void resize_bilinear_int8(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_resize_bilinear2d_nhwc_s8(output.height, output.width, 0, &op), "int8 resize");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  check(xnn_reshape_resize_bilinear2d_nhwc_s8(op, 1, input.height, input.width, input.channels,
                                              input.stride, output.stride, &bytes, &alignment,
                                              kernel.pool()),
        "int8 resize reshape");
  check(xnn_setup_resize_bilinear2d_nhwc_s8(op, kernel.scratch(bytes), input.integers(),
                                            output.integers()),
        "int8 resize set-up");
}

void global_average_pool_int8(BoundKernel& kernel, const Image& input, const Image& output) {
  Image dense = input;
  if (input.stride != input.channels) {  // reductions take no stride
    dense.data = kernel.scratch(input.pixels() * input.channels + XNN_EXTRA_BYTES);
    dense.stride = input.channels;
    copy_int8(kernel, input, dense);
  }
  const xnn_quantization_params before = quantization(input);
  const xnn_quantization_params after = quantization(output);
  xnn_operator_t op = nullptr;
  check(xnn_create_reduce_nd(xnn_reduce_mean, xnn_datatype_qint8, &before, &after, 0, &op),
        "int8 global average pooling");
  kernel.add(op);
  const std::array<size_t, 2> shape{dense.pixels(), dense.channels};
  const std::array<int64_t, 1> axes{0};
  size_t bytes = 0;
  size_t alignment = 0;
  check(xnn_reshape_reduce_nd(op, axes.size(), axes.data(), shape.size(), shape.data(), &bytes,
                              &alignment, kernel.pool()),
        "int8 global average pooling reshape");
  check(xnn_setup_reduce_nd(op, kernel.scratch(bytes), dense.data, output.data),
        "int8 global average pooling set-up");
}

void add_int8(BoundKernel& kernel, Int8Clamp limits, const Image& a, const Image& b,
              const Image& output) {
  binary(kernel, xnn_binary_add, a, b, output);
  if (limits.low == -128 && limits.high == 127) return;
  const int8_t low = limits.low;
  const int8_t high = limits.high;
  xnn_unary_params params{};
  params.clamp.min = output.scale.dequantize(low);
  params.clamp.max = output.scale.dequantize(high);
  const xnn_quantization_params scale = quantization(output);
  xnn_operator_t op = nullptr;
  check(xnn_create_unary_elementwise_nc(xnn_unary_clamp, xnn_datatype_qint8, xnn_datatype_qint8,
                                        &params, &scale, &scale, 0, &op),
        "int8 clamp");
  kernel.add(op);
  check(xnn_reshape_unary_elementwise_nc(op, output.pixels(), output.channels, output.stride,
                                         output.stride, kernel.pool()),
        "int8 clamp reshape");
  check(xnn_setup_unary_elementwise_nc(op, output.data, output.data), "int8 clamp set-up");
}

void multiply_int8(BoundKernel& kernel, const Image& a, const Image& b, const Image& output) {
  binary(kernel, xnn_binary_multiply, a, b, output);
}

void dequantize(BoundKernel& kernel, const Image& input, const Image& output) {
  convert(kernel, xnn_datatype_qint8, xnn_datatype_fp32, input, output);
}

void quantize(BoundKernel& kernel, const Image& input, const Image& output) {
  convert(kernel, xnn_datatype_fp32, xnn_datatype_qint8, input, output);
}

}  // namespace lathe::device::xnn
