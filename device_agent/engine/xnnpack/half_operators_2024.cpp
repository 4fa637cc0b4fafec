// The fp16 operators of XNNPACK's interface from 2023 on: create, reshape and set up.
#include <array>
#include <limits>

#include "device_agent/engine/xnnpack/bound_kernel.h"
#include "device_agent/engine/xnnpack/half_operators.h"

namespace lathe::device::xnn::half {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

xnn_datatype type_of(const Image& image) {
  return image.half ? xnn_datatype_fp16 : xnn_datatype_fp32;
}

void unary(BoundKernel& kernel, xnn_unary_operator type, const xnn_unary_params* params,
           const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_unary_elementwise_nc(type, type_of(input), type_of(output), params, nullptr,
                                        nullptr, 0, &op),
        "fp16 element-wise operator");
  kernel.add(op);
  check(xnn_reshape_unary_elementwise_nc(op, input.pixels(), input.channels, input.stride,
                                         output.stride, kernel.pool()),
        "fp16 element-wise reshape");
  check(xnn_setup_unary_elementwise_nc(op, input.data, output.data), "fp16 element-wise set-up");
}

void binary(BoundKernel& kernel, xnn_binary_operator type, const Image& a, const Image& b,
            const Image& output) {
  xnn_operator_t op = nullptr;
  check(
      xnn_create_binary_elementwise_nd(type, xnn_datatype_fp16, nullptr, nullptr, nullptr, 0, &op),
      "fp16 binary operator");
  kernel.add(op);
  const std::array<size_t, 2> first{a.pixels(), a.channels};
  const std::array<size_t, 2> second{b.pixels(), b.channels};
  check(xnn_reshape_binary_elementwise_nd(op, first.size(), first.data(), second.size(),
                                          second.data(), kernel.pool()),
        "fp16 binary reshape");
  check(xnn_setup_binary_elementwise_nd(op, a.data, b.data, output.data), "fp16 binary set-up");
}

}  // namespace

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups, const float* weight,
                 const float* bias, Clamp clamp, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convolution2d_nhwc_f16(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, groups, input.channels / groups,
            output.channels / groups, input.stride, output.stride, weight, bias, clamp.low,
            clamp.high, XNN_FLAG_FP32_STATIC_WEIGHTS, nullptr, nullptr, &op),
        "fp16 convolution");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_convolution2d_nhwc_f16(op, 1, input.height, input.width, &bytes, &alignment,
                                           &height, &width, kernel.pool()),
        "fp16 convolution reshape");
  check(xnn_setup_convolution2d_nhwc_f16(op, kernel.scratch(bytes), input.data, output.data),
        "fp16 convolution set-up");
}

void fully_connected(BoundKernel& kernel, const float* weight, const float* bias, Clamp clamp,
                     const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_fully_connected_nc_f16(input.channels, output.channels, input.stride,
                                          output.stride, weight, bias, clamp.low, clamp.high,
                                          XNN_FLAG_FP32_STATIC_WEIGHTS, nullptr, nullptr, &op),
        "fp16 fully connected");
  kernel.add(op);
  check(xnn_reshape_fully_connected_nc_f16(op, 1, kernel.pool()), "fp16 fully connected reshape");
  check(xnn_setup_fully_connected_nc_f16(op, input.data, output.data),
        "fp16 fully connected set-up");
}

void clamp(BoundKernel& kernel, Clamp clamp, const Image& input, const Image& output) {
  xnn_unary_params params{};
  params.clamp.min = clamp.low;
  params.clamp.max = clamp.high;
  unary(kernel, xnn_unary_clamp, &params, input, output);
}

void hard_swish(BoundKernel& kernel, const Image& input, const Image& output) {
  unary(kernel, xnn_unary_hardswish, nullptr, input, output);
}

void sigmoid(BoundKernel& kernel, const Image& input, const Image& output) {
  unary(kernel, xnn_unary_sigmoid, nullptr, input, output);
}

void copy(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_copy_nc_x16(0, &op), "fp16 copy");
  kernel.add(op);
  check(xnn_reshape_copy_nc_x16(op, input.pixels(), input.channels, input.stride, output.stride,
                                kernel.pool()),
        "fp16 copy reshape");
  check(xnn_setup_copy_nc_x16(op, input.data, output.data), "fp16 copy set-up");
}

void max_pool(BoundKernel& kernel, const Window& window, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_max_pooling2d_nhwc_f16(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, -kInfinity, kInfinity, 0, &op),
        "fp16 max pooling");
  kernel.add(op);
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_max_pooling2d_nhwc_f16(op, 1, input.height, input.width, input.channels,
                                           input.stride, output.stride, &height, &width,
                                           kernel.pool()),
        "fp16 max pooling reshape");
  check(xnn_setup_max_pooling2d_nhwc_f16(op, input.data, output.data), "fp16 max pooling set-up");
}

void average_pool(BoundKernel& kernel, const Window& window, const Image& input,
                  const Image& output) {
  through_floats(kernel, input, output, [&](const Image& from, const Image& to) {
    xnn::average_pool(kernel, window, from, to);
  });
}

void global_average_pool(BoundKernel& kernel, const Image& input, const Image& output) {
  through_floats(kernel, input, output, [&](const Image& from, const Image& to) {
    xnn::global_average_pool(kernel, from, to);
  });
}

void resize_bilinear(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_resize_bilinear2d_nhwc_f16(output.height, output.width, 0, &op), "fp16 resize");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  check(xnn_reshape_resize_bilinear2d_nhwc_f16(op, 1, input.height, input.width, input.channels,
                                               input.stride, output.stride, &bytes, &alignment,
                                               kernel.pool()),
        "fp16 resize reshape");
  check(xnn_setup_resize_bilinear2d_nhwc_f16(op, kernel.scratch(bytes), input.data, output.data),
        "fp16 resize set-up");
}

void add(BoundKernel& kernel, Clamp limits, const Image& a, const Image& b, const Image& output) {
  binary(kernel, xnn_binary_add, a, b, output);
  if (limits.low > -kInfinity || limits.high < kInfinity) {
    half::clamp(kernel, limits, output, output);
  }
}

void multiply(BoundKernel& kernel, const Image& a, const Image& b, const Image& output) {
  binary(kernel, xnn_binary_multiply, a, b, output);
}

void to_floats(BoundKernel& kernel, const Image& halves, const Image& floats) {
  unary(kernel, xnn_unary_convert, nullptr, halves, floats);
}

void to_halves(BoundKernel& kernel, const Image& floats, const Image& halves) {
  unary(kernel, xnn_unary_convert, nullptr, floats, halves);
}

}  // namespace lathe::device::xnn::half
