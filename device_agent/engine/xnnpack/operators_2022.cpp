// XNNPACK's operator interface up to 2022: an operator is created and then set up with shapes and
// pointers.
#include <array>
#include <limits>

#include "device_agent/engine/xnnpack/bound_kernel.h"
#include "device_agent/engine/xnnpack/half_operators.h"

namespace lathe::device::xnn {

const char* version() { return "2022-02"; }

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups, const float* weight,
                 const float* bias, Clamp clamp, const Image& input, const Image& output) {
  if (input.half)
    return half::convolution(kernel, window, groups, weight, bias, clamp, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_convolution2d_nhwc_f32(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, groups, input.channels / groups,
            output.channels / groups, input.stride, output.stride, weight, bias, clamp.low,
            clamp.high, 0, &op),
        "convolution");
  kernel.add(op);
  check(xnn_setup_convolution2d_nhwc_f32(op, 1, input.height, input.width, input.floats(),
                                         output.floats(), kernel.pool()),
        "convolution set-up");
}

void fully_connected(BoundKernel& kernel, const float* weight, const float* bias, Clamp clamp,
                     const Image& input, const Image& output) {
  if (input.half) return half::fully_connected(kernel, weight, bias, clamp, input, output);
  xnn_operator_t op = nullptr;
  check(
      xnn_create_fully_connected_nc_f32(input.channels, output.channels, input.stride,
                                        output.stride, weight, bias, clamp.low, clamp.high, 0, &op),
      "fully connected");
  kernel.add(op);
  check(xnn_setup_fully_connected_nc_f32(op, 1, input.floats(), output.floats(), kernel.pool()),
        "fully connected set-up");
}

void clamp(BoundKernel& kernel, Clamp clamp, const Image& input, const Image& output) {
  if (input.half) return half::clamp(kernel, clamp, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_clamp_nc_f32(input.channels, input.stride, output.stride, clamp.low, clamp.high,
                                0, &op),
        "clamp");
  kernel.add(op);
  check(xnn_setup_clamp_nc_f32(op, input.pixels(), input.floats(), output.floats(), kernel.pool()),
        "clamp set-up");
}

void hard_swish(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::hard_swish(kernel, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_hardswish_nc_f32(input.channels, input.stride, output.stride, 0, &op),
        "hard swish");
  kernel.add(op);
  check(xnn_setup_hardswish_nc_f32(op, input.pixels(), input.floats(), output.floats(),
                                   kernel.pool()),
        "hard swish set-up");
}

void sigmoid(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::sigmoid(kernel, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_sigmoid_nc_f32(input.channels, input.stride, output.stride, 0, &op), "sigmoid");
  kernel.add(op);
  check(
      xnn_setup_sigmoid_nc_f32(op, input.pixels(), input.floats(), output.floats(), kernel.pool()),
      "sigmoid set-up");
}

void copy(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::copy(kernel, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_copy_nc_x32(input.channels, input.stride, output.stride, 0, &op), "copy");
  kernel.add(op);
  check(xnn_setup_copy_nc_x32(op, input.pixels(), input.floats(), output.floats(), kernel.pool()),
        "copy set-up");
}

void channel_shuffle(BoundKernel& kernel, size_t groups, const Image& input, const Image& output) {
  if (input.half) return half::channel_shuffle(kernel, groups, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_channel_shuffle_nc_x32(groups, input.channels / groups, input.stride,
                                          output.stride, 0, &op),
        "channel shuffle");
  kernel.add(op);
  check(xnn_setup_channel_shuffle_nc_x32(op, input.pixels(), input.floats(), output.floats(),
                                         kernel.pool()),
        "channel shuffle set-up");
}

void max_pool(BoundKernel& kernel, const Window& window, const Image& input, const Image& output) {
  if (input.half) return half::max_pool(kernel, window, input, output);
  xnn_operator_t op = nullptr;
  const Clamp none{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  check(xnn_create_max_pooling2d_nhwc_f32(window.padding, window.padding, window.padding,
                                          window.padding, window.kernel, window.kernel,
                                          window.stride, window.stride, 1, 1, input.channels,
                                          input.stride, output.stride, none.low, none.high, 0, &op),
        "max pooling");
  kernel.add(op);
  check(xnn_setup_max_pooling2d_nhwc_f32(op, 1, input.height, input.width, input.floats(),
                                         output.floats(), kernel.pool()),
        "max pooling set-up");
}

void average_pool(BoundKernel& kernel, const Window& window, const Image& input,
                  const Image& output) {
  if (input.half) return half::average_pool(kernel, window, input, output);
  xnn_operator_t op = nullptr;
  const Clamp none{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  check(xnn_create_average_pooling2d_nhwc_f32(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, input.channels, input.stride,
            output.stride, none.low, none.high, 0, &op),
        "average pooling");
  kernel.add(op);
  check(xnn_setup_average_pooling2d_nhwc_f32(op, 1, input.height, input.width, input.floats(),
                                             output.floats(), kernel.pool()),
        "average pooling set-up");
}

void global_average_pool(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::global_average_pool(kernel, input, output);
  xnn_operator_t op = nullptr;
  const Clamp none{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  check(xnn_create_global_average_pooling_nwc_f32(input.channels, input.stride, output.stride,
                                                  none.low, none.high, 0, &op),
        "global average pooling");
  kernel.add(op);
  check(xnn_setup_global_average_pooling_nwc_f32(op, 1, input.pixels(), input.floats(),
                                                 output.floats(), kernel.pool()),
        "global average pooling set-up");
}

void resize_bilinear(BoundKernel& kernel, const Image& input, const Image& output) {
  if (input.half) return half::resize_bilinear(kernel, input, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_resize_bilinear2d_nhwc_f32(input.channels, input.stride, output.stride, 0, &op),
        "resize");
  kernel.add(op);
  check(xnn_setup_resize_bilinear2d_nhwc_f32(op, 1, input.height, input.width, output.height,
                                             output.width, input.floats(), output.floats(),
                                             kernel.pool()),
        "resize set-up");
}

void add(BoundKernel& kernel, Clamp clamp, const Image& a, const Image& b, const Image& output) {
  if (a.half) return half::add(kernel, clamp, a, b, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_add_nd_f32(clamp.low, clamp.high, 0, &op), "add");
  kernel.add(op);
  const size_t elements = a.pixels() * a.channels;
  check(xnn_setup_add_nd_f32(op, 1, &elements, 1, &elements, a.floats(), b.floats(),
                             output.floats(), kernel.pool()),
        "add set-up");
}

void multiply(BoundKernel& kernel, const Image& a, const Image& b, const Image& output) {
  if (a.half) return half::multiply(kernel, a, b, output);
  xnn_operator_t op = nullptr;
  check(xnn_create_multiply_nd_f32(-std::numeric_limits<float>::infinity(),
                                   std::numeric_limits<float>::infinity(), 0, &op),
        "multiply");
  kernel.add(op);
  const std::array<size_t, 2> first{a.pixels(), a.channels};
  const std::array<size_t, 2> second{b.pixels(), b.channels};
  check(xnn_setup_multiply_nd_f32(op, first.size(), first.data(), second.size(), second.data(),
                                  a.floats(), b.floats(), output.floats(), kernel.pool()),
        "multiply set-up");
}

}  // namespace lathe::device::xnn
