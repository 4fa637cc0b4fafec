#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "network/network.h"

namespace lathe::device {

enum class Element { Float, Half, Int8 };
int64_t element_bytes(Element element);

/// The kernels that every operator of the IR is lowered to; what an engine has to provide.
enum class Kernel {
  Convolution,     ///< Conv2d with bias and clamp
  Affine,          ///< y = scale[c] x + shift[c], then clamp (BatchNorm, hard sigmoid)
  Subsample,       ///< every stride-th pixel (pooling with a window of one pixel)
  FullyConnected,  ///< Linear with clamp
  Clamp,           ///< relu, relu6
  HardSwish,
  Sigmoid,
  Add,       ///< of two dense tensors, then clamp
  Multiply,  ///< of two dense tensors, the second may be one pixel (gate)
  Copy,      ///< strided to strided
  Shuffle,   ///< ChannelShuffle
  MaxPool,
  AveragePool,
  GlobalAveragePool,
  Resize,
  ToChannelsFirst,  ///< dense [H, W, C] to dense [C, H, W]
  Lookup,      ///< int8: an activation, or another scale, as a table of the 256 possible values
  Dequantize,  ///< int8 to float
  Quantize,    ///< float to int8
};
const char* to_string(Kernel kernel);

/// Where a tensor lies: `channels` elements of every pixel, `stride` elements from pixel to pixel,
/// starting `offset` elements into the buffer.
struct TensorView {
  int buffer = -1;
  int64_t offset = 0;
  int64_t stride = 0;
  int64_t height = 1;
  int64_t width = 1;
  int64_t channels = 0;
  Element element = Element::Float;
  network::TensorScale scale;  ///< of int8 elements
  int64_t pixels() const { return height * width; }
  bool dense() const { return pixels() == 1 || stride == channels; }
};

/// One kernel call.
struct PlanStep {
  Kernel kernel = Kernel::Copy;
  network::NodeId node = 0;
  TensorView input;
  TensorView second;  ///< of Add and Multiply
  TensorView output;
  float low = -std::numeric_limits<float>::infinity();  ///< clamp
  float high = std::numeric_limits<float>::infinity();
  /// FullyConnected of a flattened image: the input is [pixel, channel], so the weight's columns,
  /// written for [channel, pixel], are to be permuted. 1: nothing to permute.
  int64_t flattened_pixels = 1;
  network::ActivationKind function = network::ActivationKind::Identity;  ///< of Lookup and Affine
};

/// Memory shared by tensors whose lives do not overlap, one arena for all of them.
struct PlanBuffer {
  int64_t bytes = 0;
  int first_step = 0;  ///< first step that writes it; -1: alive before the run (the input)
  int last_step =
      0;  ///< last step that reads it; the number of steps: alive after the run (the output)
  int64_t arena_offset = 0;  ///< in bytes, 64-byte aligned
};

/// A network as a list of kernel calls on planned memory, channels last.
struct ExecutionPlan {
  std::vector<PlanStep> steps;
  std::vector<PlanBuffer> buffers;
  TensorView input;
  TensorView output;
  bool output_is_image = false;  ///< the output has to be read channel by channel
  int64_t arena_bytes = 0;
};

/// Plans `network`, which should be in deployed form (other BatchNorms become Affine steps). Slices
/// and concatenations are views wherever the producer can write with a stride, element-wise steps
/// run in place when their input dies there, and buffers of disjoint lives share memory. With
/// `quantization` every tensor is int8, but for steps that int8 kernels lack: those run in float
/// between Dequantize and Quantize. \pre the model with it has no quantization_fault. Without it
/// every tensor is of `floats`: Float or Half.
ExecutionPlan make_execution_plan(const network::Network& network,
                                  const network::Quantization* quantization = nullptr,
                                  Element floats = Element::Float);

/// Sets the arena offsets (largest buffer first, each at the lowest free place) and returns the
/// arena's bytes.
int64_t place_buffers(std::vector<PlanBuffer>& buffers);

}  // namespace lathe::device
