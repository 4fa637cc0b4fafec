#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "device_agent/engine/xnnpack/operators.h"
#include "network/network.h"

namespace lathe::device::xnn {

/// Weights in the order XNNPACK reads them.
struct PackedWeights {
  std::vector<float> weight;
  std::vector<float> bias;  ///< empty: none
  const float* bias_or_null() const { return bias.empty() ? nullptr : bias.data(); }
};

/// The same in int8: one scale an output channel, biases at the input's scale times the channel's.
struct PackedIntegers {
  std::vector<int8_t> weight;
  std::vector<int32_t> bias;  ///< empty: none
  std::vector<float> scales;
  const int32_t* bias_or_null() const { return bias.empty() ? nullptr : bias.data(); }
};

/// Reorders the weights of one node after the other and frees each tensor after its last use, so
/// that a model is held about once and not twice. Refers to the network, and to `quantization` if
/// it is not null. Not thread-safe.
class WeightPacker {
 public:
  /// \throws InvariantError naming a parameter that is missing or has another shape.
  WeightPacker(const network::Network& network, network::Weights weights,
               const network::Quantization* quantization = nullptr);

  /// Conv2d: [out, in / groups, k, k] becomes [out, k, k, in / groups].
  PackedWeights convolution(const network::Node& node);
  /// Linear: the columns of a flattened image become [pixel, channel].
  PackedWeights linear(const network::Node& node, int64_t flattened_pixels);
  /// BatchNorm as scale and shift; of other nodes the `function`: negated relu as -x, else (a hard
  /// sigmoid) x / 6 + 1 / 2.
  PackedWeights affine(const network::Node& node, network::ActivationKind function,
                       size_t channels);

  /// The same in int8, for inputs at `input_scale`. \pre there is a quantization.
  PackedIntegers int8_convolution(const network::Node& node, float input_scale);
  PackedIntegers int8_linear(const network::Node& node, int64_t flattened_pixels,
                             float input_scale);
  PackedIntegers int8_affine(const network::Node& node, size_t channels, float input_scale);

 private:
  std::vector<float> take(const network::Parameter& parameter);
  PackedIntegers take_integers(const network::Node& node, float input_scale);

  network::Weights weights_;
  const network::Quantization* quantization_;
  std::map<std::string, int> uses_;
};

/// Returns the window of a Conv2d.
Window window(const network::Conv2d& op);
/// Returns the window of a MaxPool or AveragePool node. \throws InvariantError for another node.
Window window(const network::Node& node);

}  // namespace lathe::device::xnn
