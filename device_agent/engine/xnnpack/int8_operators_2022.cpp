// The int8 operators of XNNPACK's interface up to 2022: create and set up.
#include <array>

#include "device_agent/engine/xnnpack/bound_kernel.h"
#include "device_agent/engine/xnnpack/int8_operators.h"

namespace lathe::device::xnn {

namespace {

int8_t zero_point(const Image& image) { return static_cast<int8_t>(image.scale.zero_point); }

}  // namespace

void convolution(BoundKernel& kernel, const Window& window, uint32_t groups,
                 const PackedIntegers& packed, Int8Clamp clamp, const Image& input,
                 const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convolution2d_nhwc_qc8(
            window.padding, window.padding, window.padding, window.padding, window.kernel,
            window.kernel, window.stride, window.stride, 1, 1, groups, input.channels / groups,
            output.channels / groups, input.stride, output.stride, zero_point(input),
            input.scale.scale, packed.scales.data(), packed.weight.data(), packed.bias_or_null(),
            zero_point(output), output.scale.scale, clamp.low, clamp.high, 0, &op),
        "int8 convolution");
  kernel.add(op);
  check(xnn_setup_convolution2d_nhwc_qc8(op, 1, input.height, input.width, input.integers(),
                                         output.integers(), kernel.pool()),
        "int8 convolution set-up");
}

void copy_int8(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_copy_nc_x8(input.channels, input.stride, output.stride, 0, &op), "int8 copy");
  kernel.add(op);
  check(xnn_setup_copy_nc_x8(op, input.pixels(), input.data, output.data, kernel.pool()),
        "int8 copy set-up");
}

void channel_shuffle_int8(BoundKernel& kernel, size_t groups, const Image& input,
                          const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_channel_shuffle_nc_x8(groups, input.channels / groups, input.stride,
                                         output.stride, 0, &op),
        "int8 channel shuffle");
  kernel.add(op);
  check(xnn_setup_channel_shuffle_nc_x8(op, input.pixels(), input.data, output.data, kernel.pool()),
        "int8 channel shuffle set-up");
}

void max_pool_int8(BoundKernel& kernel, const Window& window, const Image& input,
                   const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_max_pooling2d_nhwc_s8(window.padding, window.padding, window.padding,
                                         window.padding, window.kernel, window.kernel,
                                         window.stride, window.stride, 1, 1, input.channels,
                                         input.stride, output.stride, -128, 127, 0, &op),
        "int8 max pooling");
  kernel.add(op);
  check(xnn_setup_max_pooling2d_nhwc_s8(op, 1, input.height, input.width, input.integers(),
                                        output.integers(), kernel.pool()),
        "int8 max pooling set-up");
}

void resize_bilinear_int8(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_resize_bilinear2d_nhwc_s8(input.channels, input.stride, output.stride, 0, &op),
        "int8 resize");
  kernel.add(op);
  check(xnn_setup_resize_bilinear2d_nhwc_s8(op, 1, input.height, input.width, output.height,
                                            output.width, input.integers(), output.integers(),
                                            kernel.pool()),
        "int8 resize set-up");
}

void global_average_pool_int8(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_global_average_pooling_nwc_qs8(
            input.channels, input.stride, output.stride, zero_point(input), input.scale.scale,
            zero_point(output), output.scale.scale, -128, 127, 0, &op),
        "int8 global average pooling");
  kernel.add(op);
  check(xnn_setup_global_average_pooling_nwc_qs8(op, 1, input.pixels(), input.integers(),
                                                 output.integers(), kernel.pool()),
        "int8 global average pooling set-up");
}

void add_int8(BoundKernel& kernel, Int8Clamp clamp, const Image& a, const Image& b,
              const Image& output) {
  xnn_operator_t op = nullptr;
  check(
      xnn_create_add_nd_qs8(zero_point(a), a.scale.scale, zero_point(b), b.scale.scale,
                            zero_point(output), output.scale.scale, clamp.low, clamp.high, 0, &op),
      "int8 add");
  kernel.add(op);
  const size_t elements = a.pixels() * a.channels;
  check(xnn_setup_add_nd_qs8(op, 1, &elements, 1, &elements, a.integers(), b.integers(),
                             output.integers(), kernel.pool()),
        "int8 add set-up");
}

void multiply_int8(BoundKernel& kernel, const Image& a, const Image& b, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_multiply_nd_qs8(zero_point(a), a.scale.scale, zero_point(b), b.scale.scale,
                                   zero_point(output), output.scale.scale, -128, 127, 0, &op),
        "int8 multiply");
  kernel.add(op);
  const std::array<size_t, 2> first{a.pixels(), a.channels};
  const std::array<size_t, 2> second{b.pixels(), b.channels};
  check(xnn_setup_multiply_nd_qs8(op, first.size(), first.data(), second.size(), second.data(),
                                  a.integers(), b.integers(), output.integers(), kernel.pool()),
        "int8 multiply set-up");
}

void dequantize(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convert_nc_qs8_f32(input.channels, input.stride, output.stride,
                                      input.scale.scale, zero_point(input), 0, &op),
        "dequantize");
  kernel.add(op);
  check(xnn_setup_convert_nc_qs8_f32(op, input.pixels(), input.integers(), output.floats(),
                                     kernel.pool()),
        "dequantize set-up");
}

void quantize(BoundKernel& kernel, const Image& input, const Image& output) {
  xnn_operator_t op = nullptr;
  check(xnn_create_convert_nc_f32_qs8(input.channels, input.stride, output.stride,
                                      output.scale.scale, zero_point(output), -128, 127, 0, &op),
        "quantize");
  kernel.add(op);
  check(xnn_setup_convert_nc_f32_qs8(op, input.pixels(), input.floats(), output.integers(),
                                     kernel.pool()),
        "quantize set-up");
}

}  // namespace lathe::device::xnn
