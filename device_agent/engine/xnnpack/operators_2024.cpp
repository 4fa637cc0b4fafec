// XNNPACK's operator interface from 2023 on: an operator is created, reshaped (which asks for a
// workspace) and then set up with pointers. Element-wise operators are of one generic kind without
// a clamp.
#include <array>
#include <limits>

#include "device_agent/engine/xnnpack/bound_kernel.h"
#include "device_agent/engine/xnnpack/half_operators.h"

namespace lathe::device::xnn {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void unary(BoundKernel& kernel, xnn_unary_operator type, const xnn_unary_params* params,
           const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_unary_elementwise_nc(type, xnn_datatype_fp32, xnn_datatype_fp32, params, nullptr,
                                        nullptr, 0, &op),
        "element-wise operator");
  kernel.add(op);
  check(xnn_reshape_unary_elementwise_nc(op, input.pixels(), input.channels, input.stride,
                                         output.stride, kernel.pool()),
        "element-wise reshape");
  check(xnn_setup_unary_elementwise_nc(op, input.floats(), output.floats()), "element-wise set-up");
}

void binary(BoundKernel& kernel, xnn_binary_operator type, const Image& a, const Image& b,
            const Image& output) {
  xnn_operator_t op = nullptr;
  check(
      xnn_create_binary_elementwise_nd(type, xnn_datatype_fp32, nullptr, nullptr, nullptr, 0, &op),
      "binary operator");
  kernel.add(op);
  const std::array<size_t, 2> first{a.pixels(), a.channels};
  const std::array<size_t, 2> second{b.pixels(), b.channels};
  check(xnn_reshape_binary_elementwise_nd(op, first.size(), first.data(), second.size(),
                                          second.data(), kernel.pool()),
        "binary reshape");
  check(xnn_setup_binary_elementwise_nd(op, a.floats(), b.floats(), output.floats()),
        "binary set-up");
}

struct MeanWindow {
  uint32_t height;
  uint32_t width;
  uint32_t stride;
  uint32_t padding;
};

void mean(BoundKernel& kernel, const MeanWindow& window, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_average_pooling2d_nhwc_f32(
            window.padding, window.padding, window.padding, window.padding, window.height,
            window.width, window.stride, window.stride, -kInfinity, kInfinity, 0, &op),
        "average pooling");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_average_pooling2d_nhwc_f32(op, 1, input.height, input.width, input.channels,
                                               input.stride, output.stride, &bytes, &alignment,
                                               &height, &width, kernel.pool()),
        "average pooling reshape");
  check(xnn_setup_average_pooling2d_nhwc_f32(op, kernel.scratch(bytes), input.floats(),
                                             output.floats()),
        "average pooling set-up");
}

}  // namespace

const char* version() { return "2024-11"; }

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups, const float* weight,
                 const float* bias, Clamp clamp, const Image& input, const Image& output) {
  if (input.half)
    return half::convolution(kernel, window, groups, weight, bias, clamp, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_convolution2d_nhwc_f32(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, groups, input.channels / groups,
            output.channels / groups, input.stride, output.stride, weight, bias, clamp.low,
            clamp.high, 0, nullptr, nullptr, &op),
        "convolution");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_convolution2d_nhwc_f32(op, 1, input.height, input.width, &bytes, &alignment,
                                           &height, &width, kernel.pool()),
        "convolution reshape");
  check(
      xnn_setup_convolution2d_nhwc_f32(op, kernel.scratch(bytes), input.floats(), output.floats()),
      "convolution set-up");
}

void fully_connected(BoundKernel& kernel, const float* weight, const float* bias, Clamp clamp,
                     const Image& input, const Image& output) {
  if (input.half) return half::fully_connected(kernel, weight, bias, clamp, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_fully_connected_nc_f32(input.channels, output.channels, input.stride,
                                          output.stride, weight, bias, clamp.low, clamp.high, 0,
                                          nullptr, nullptr, &op),
        "fully connected");
  kernel.add(op);
  check(xnn_reshape_fully_connected_nc_f32(op, 1, kernel.pool()), "fully connected reshape");
  check(xnn_setup_fully_connected_nc_f32(op, input.floats(), output.floats()),
        "fully connected set-up");
}

void clamp(BoundKernel& kernel, Clamp clamp, const Image& input, const Image& output) {
  if (input.half) return half::clamp(kernel, clamp, input, output);
  xnn_unary_params params{};
  params.clamp.min = clamp.low;
  params.clamp.max = clamp.high;
  unary(kernel, xnn_unary_clamp, &params, input, output);
}

void hard_swish(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::hard_swish(kernel, input, output);
  unary(kernel, xnn_unary_hardswish, nullptr, input, output);
}

void sigmoid(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::sigmoid(kernel, input, output);
  unary(kernel, xnn_unary_sigmoid, nullptr, input, output);
}

void copy(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::copy(kernel, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_copy_nc_x32(0, &op), "copy");
  kernel.add(op);
  check(xnn_reshape_copy_nc_x32(op, input.pixels(), input.channels, input.stride, output.stride,
                                kernel.pool()),
        "copy reshape");
  check(xnn_setup_copy_nc_x32(op, input.floats(), output.floats()), "copy set-up");
}

void channel_shuffle(BoundKernel& kernel, size_t groups, const Image& input, const Image& output) {
  if (input.half) return half::channel_shuffle(kernel, groups, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_channel_shuffle_nc_x32(groups, input.channels / groups, input.stride,
                                          output.stride, 0, &op),
        "channel shuffle");
  kernel.add(op);
  check(xnn_reshape_channel_shuffle_nc_x32(op, input.pixels(), kernel.pool()),
        "channel shuffle reshape");
  check(xnn_setup_channel_shuffle_nc_x32(op, input.floats(), output.floats()),
        "channel shuffle set-up");
}

void max_pool(BoundKernel& kernel, const Window& window, const Image& input, const Image& output) {
  if (input.half) return half::max_pool(kernel, window, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_max_pooling2d_nhwc_f32(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, -kInfinity, kInfinity, 0, &op),
        "max pooling");
  kernel.add(op);
  size_t height = 0;
  size_t width = 0;
  check(xnn_reshape_max_pooling2d_nhwc_f32(op, 1, input.height, input.width, input.channels,
                                           input.stride, output.stride, &height, &width,
                                           kernel.pool()),
        "max pooling reshape");
  check(xnn_setup_max_pooling2d_nhwc_f32(op, input.floats(), output.floats()),
        "max pooling set-up");
}

void average_pool(BoundKernel& kernel, const Window& window, const Image& input,
                  const Image& output) {
  if (input.half) return half::average_pool(kernel, window, input, output);
  mean(kernel, {window.kernel, window.kernel, window.stride, window.padding}, input, output);
}

// A window as large as the image. The release's fp32 reduction calls a null function on x86-64.
void global_average_pool(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::global_average_pool(kernel, input, output);
  if (input.pixels() == 1) return copy(kernel, input, output);  // windows have two pixels or more
  const auto height = static_cast<uint32_t>(input.height);
  const auto width = static_cast<uint32_t>(input.width);
  mean(kernel, {height, width, 1, 0}, input, output);
}

void resize_bilinear(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::resize_bilinear(kernel, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_resize_bilinear2d_nhwc_f32(output.height, output.width, 0, &op), "resize");
  kernel.add(op);
  size_t bytes = 0;
  size_t alignment = 0;
  check(xnn_reshape_resize_bilinear2d_nhwc_f32(op, 1, input.height, input.width, input.channels,
                                               input.stride, output.stride, &bytes, &alignment,
                                               kernel.pool()),
        "resize reshape");
  check(xnn_setup_resize_bilinear2d_nhwc_f32(op, kernel.scratch(bytes), input.floats(),
                                             output.floats()),
        "resize set-up");
}

void add(BoundKernel& kernel, Clamp limits, const Image& a, const Image& b, const Image& output) {
  if (a.half) return half::add(kernel, limits, a, b, output);
  binary(kernel, xnn_binary_add, a, b, output);
  if (limits.low > -kInfinity || limits.high < kInfinity) clamp(kernel, limits, output, output);
}

void multiply(BoundKernel& kernel, const Image& a, const Image& b, const Image& output) {
  if (a.half) return half::multiply(kernel, a, b, output);
  binary(kernel, xnn_binary_multiply, a, b, output);
}

}  // namespace lathe::device::xnn
