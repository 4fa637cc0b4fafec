// The fp16 operators of XNNPACK's interface up to 2022: create and set up.
#include <array>
#include <limits>

#include "device_agent/engine/xnnpack/bound_kernel.h"
#include "device_agent/engine/xnnpack/half_operators.h"

namespace lathe::device::xnn::half {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups, const float* weight,
                 const float* bias, Clamp clamp, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convolution2d_nhwc_f16(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, groups, input.channels / groups,
            output.channels / groups, input.stride, output.stride, weight, bias, clamp.low,
            clamp.high, XNN_FLAG_FP32_STATIC_WEIGHTS, &op),
        "fp16 convolution");
  kernel.add(op);
  check(xnn_setup_convolution2d_nhwc_f16(op, 1, input.height, input.width, input.data, output.data,
                                         kernel.pool()),
        "fp16 convolution set-up");
}

void fully_connected(BoundKernel& kernel, const float* weight, const float* bias, Clamp clamp,
                     const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_fully_connected_nc_f16(input.channels, output.channels, input.stride,
                                          output.stride, weight, bias, clamp.low, clamp.high,
                                          XNN_FLAG_FP32_STATIC_WEIGHTS, &op),
        "fp16 fully connected");
  kernel.add(op);
  check(xnn_setup_fully_connected_nc_f16(op, 1, input.data, output.data, kernel.pool()),
        "fp16 fully connected set-up");
}

void clamp(BoundKernel& kernel, Clamp clamp, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_clamp_nc_f16(input.channels, input.stride, output.stride, clamp.low, clamp.high,
                                0, &op),
        "fp16 clamp");
  kernel.add(op);
  check(xnn_setup_clamp_nc_f16(op, input.pixels(), input.data, output.data, kernel.pool()),
        "fp16 clamp set-up");
}

// The release's own aborts the process.
void hard_swish(BoundKernel& kernel, const Image& input, const Image& output) {
  through_floats(kernel, input, output,
                 [&](const Image& from, const Image& to) { xnn::hard_swish(kernel, from, to); });
}

void sigmoid(BoundKernel& kernel, const Image& input, const Image& output) {
  through_floats(kernel, input, output,
                 [&](const Image& from, const Image& to) { xnn::sigmoid(kernel, from, to); });
}

void copy(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_copy_nc_x16(input.channels, input.stride, output.stride, 0, &op), "fp16 copy");
  kernel.add(op);
  check(xnn_setup_copy_nc_x16(op, input.pixels(), input.data, output.data, kernel.pool()),
        "fp16 copy set-up");
}

void max_pool(BoundKernel& kernel, const Window& window, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_max_pooling2d_nhwc_f16(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, input.channels, input.stride,
            output.stride, -kInfinity, kInfinity, 0, &op),
        "fp16 max pooling");
  kernel.add(op);
  check(xnn_setup_max_pooling2d_nhwc_f16(op, 1, input.height, input.width, input.data, output.data,
                                         kernel.pool()),
        "fp16 max pooling set-up");
}

void average_pool(BoundKernel& kernel, const Window& window, const Image& input,
                  const Image& output) {
  through_floats(kernel, input, output, [&](const Image& from, const Image& to) {
    xnn::average_pool(kernel, window, from, to);
  });
}

void global_average_pool(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_global_average_pooling_nwc_f16(input.channels, input.stride, output.stride,
                                                  -kInfinity, kInfinity, 0, &op),
        "fp16 global average pooling");
  kernel.add(op);
  check(xnn_setup_global_average_pooling_nwc_f16(op, 1, input.pixels(), input.data, output.data,
                                                 kernel.pool()),
        "fp16 global average pooling set-up");
}

void resize_bilinear(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_resize_bilinear2d_nhwc_f16(input.channels, input.stride, output.stride, 0, &op),
        "fp16 resize");
  kernel.add(op);
  check(xnn_setup_resize_bilinear2d_nhwc_f16(op, 1, input.height, input.width, output.height,
                                             output.width, input.data, output.data, kernel.pool()),
        "fp16 resize set-up");
}

void add(BoundKernel& kernel, Clamp clamp, const Image& a, const Image& b, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_add_nd_f16(clamp.low, clamp.high, 0, &op), "fp16 add");
  kernel.add(op);
  const size_t elements = a.pixels() * a.channels;
  check(xnn_setup_add_nd_f16(op, 1, &elements, 1, &elements, a.data, b.data, output.data,
                             kernel.pool()),
        "fp16 add set-up");
}

void multiply(BoundKernel& kernel, const Image& a, const Image& b, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_multiply_nd_f16(-kInfinity, kInfinity, 0, &op), "fp16 multiply");
  kernel.add(op);
  const std::array<size_t, 2> first{a.pixels(), a.channels};
  const std::array<size_t, 2> second{b.pixels(), b.channels};
  check(xnn_setup_multiply_nd_f16(op, first.size(), first.data(), second.size(), second.data(),
                                  a.data, b.data, output.data, kernel.pool()),
        "fp16 multiply set-up");
}

void to_floats(BoundKernel& kernel, const Image& halves, const Image& floats) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convert_nc_f16_f32(halves.channels, halves.stride, floats.stride, 0, &op),
        "conversion to fp32");
  kernel.add(op);
  check(xnn_setup_convert_nc_f16_f32(op, halves.pixels(), halves.data, floats.floats(),
                                     kernel.pool()),
        "conversion to fp32 set-up");
}

void to_halves(BoundKernel& kernel, const Image& floats, const Image& halves) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convert_nc_f32_f16(floats.channels, floats.stride, halves.stride, 0, &op),
        "conversion to fp16");
  kernel.add(op);
  check(xnn_setup_convert_nc_f32_f16(op, floats.pixels(), floats.floats(), halves.data,
                                     kernel.pool()),
        "conversion to fp16 set-up");
}

}  // namespace lathe::device::xnn::half
