#include "device_agent/engine/xnnpack/packing.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "network/quantize.h"

namespace lathe::device::xnn {

namespace {

/// [out, in, taps] becomes [out, taps, in].
template <typename T>
std::vector<T> channels_last(const std::vector<T>& from, const network::Shape& shape) {
  const auto outputs = static_cast<size_t>(shape[0]);
  const auto inputs = static_cast<size_t>(shape[1]);
  const auto taps = static_cast<size_t>(shape[2] * shape[3]);
  std::vector<T> to(from.size());
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t i = 0; i < inputs; ++i) {
      for (size_t t = 0; t < taps; ++t) {
        to[(o * taps + t) * inputs + i] = from[(o * inputs + i) * taps + t];
      }
    }
  }
  return to;
}

/// Turns the columns of every row from [channel, pixel] into [pixel, channel].
template <typename T>
void permute_columns(std::vector<T>& weight, const network::Shape& shape, size_t pixels) {
  const auto outputs = static_cast<size_t>(shape[0]);
  const auto inputs = static_cast<size_t>(shape[1]);
  const size_t channels = inputs / pixels;
  std::vector<T> row(inputs);
  for (size_t o = 0; o < outputs; ++o) {
    T* weights = weight.data() + o * inputs;
    for (size_t c = 0; c < channels; ++c) {
      for (size_t p = 0; p < pixels; ++p) row[p * channels + c] = weights[c * pixels + p];
    }
    std::copy(row.begin(), row.end(), weights);
  }
}

}  // namespace

WeightPacker::WeightPacker(const network::Network& network, network::Weights weights,
                           const network::Quantization* quantization)
    : weights_(std::move(weights)), quantization_(quantization) {
  network::check_weights(network, weights_);
  for (const network::Node& node : network.nodes()) {
    for (const network::Parameter& parameter : node.parameters) ++uses_[parameter.name];
  }
}

std::vector<float> WeightPacker::take(const network::Parameter& parameter) {
  const auto found = weights_.find(parameter.name);
  // A node that lowers to several kernels takes its weights once; the plan never asks a second
  // time.
  if (found == weights_.end())
    throw InvariantError("WeightPacker::take: " + parameter.name + " was taken before");
  if (--uses_[parameter.name] > 0) return found->second.values;
  std::vector<float> values = std::move(found->second.values);
  weights_.erase(found);
  return values;
}

PackedWeights WeightPacker::convolution(const network::Node& node) {
  const network::Parameter& parameter = node.parameters.at(0);
  PackedWeights packed;
  packed.weight = channels_last(take(parameter), parameter.shape);
  if (node.parameters.size() > 1) packed.bias = take(node.parameters[1]);
  return packed;
}

PackedWeights WeightPacker::linear(const network::Node& node, int64_t flattened_pixels) {
  PackedWeights packed;
  packed.weight = take(node.parameters.at(0));
  if (node.parameters.size() > 1) packed.bias = take(node.parameters[1]);
  if (flattened_pixels == 1) return packed;
  permute_columns(packed.weight, node.parameters[0].shape, static_cast<size_t>(flattened_pixels));
  return packed;
}

PackedWeights WeightPacker::affine(const network::Node& node, network::ActivationKind function,
                                   size_t channels) {
  PackedWeights packed;
  const auto* norm = std::get_if<network::BatchNorm>(&node.op);
  if (norm == nullptr) {
    const bool negates = function == network::ActivationKind::NegatedRelu;
    packed.weight.assign(channels, negates ? -1.0F : 1.0F / 6.0F);
    packed.bias.assign(channels, negates ? 0.0F : 0.5F);
    return packed;
  }
  const std::vector<float> gamma = take(node.parameters.at(0));
  const std::vector<float> beta = take(node.parameters.at(1));
  const std::vector<float> mean = take(node.parameters.at(2));
  const std::vector<float> variance = take(node.parameters.at(3));
  for (size_t c = 0; c < channels; ++c) {
    const double scale =
        static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(variance[c]) + norm->epsilon);
    packed.weight.push_back(static_cast<float>(scale));
    packed.bias.push_back(
        static_cast<float>(static_cast<double>(beta[c]) - scale * static_cast<double>(mean[c])));
  }
  return packed;
}

PackedIntegers WeightPacker::take_integers(const network::Node& node, float input_scale) {
  const network::Parameter& weight = node.parameters.at(0);
  PackedIntegers packed;
  packed.scales = quantization_->weights.at(weight.name);
  packed.weight = network::quantized_weight({weight.shape, take(weight)}, packed.scales);
  if (node.parameters.size() > 1) {
    const network::Parameter& bias = node.parameters[1];
    packed.bias = network::quantized_bias({bias.shape, take(bias)}, input_scale, packed.scales);
  }
  return packed;
}

PackedIntegers WeightPacker::int8_convolution(const network::Node& node, float input_scale) {
  PackedIntegers packed = take_integers(node, input_scale);
  packed.weight = channels_last(packed.weight, node.parameters[0].shape);
  return packed;
}

PackedIntegers WeightPacker::int8_linear(const network::Node& node, int64_t flattened_pixels,
                                         float input_scale) {
  PackedIntegers packed = take_integers(node, input_scale);
  if (flattened_pixels > 1) {
    permute_columns(packed.weight, node.parameters[0].shape, static_cast<size_t>(flattened_pixels));
  }
  return packed;
}

PackedIntegers WeightPacker::int8_affine(const network::Node& node, size_t channels,
                                         float input_scale) {
  PackedWeights floats = affine(node, network::ActivationKind::Identity, channels);
  const auto size = static_cast<int64_t>(channels);
  const network::Tensor weight{{size, 1, 1, 1}, std::move(floats.weight)};
  const network::Tensor bias{{size}, std::move(floats.bias)};
  PackedIntegers packed;
  packed.scales = network::weight_scales(weight, &bias, input_scale);
  packed.weight = network::quantized_weight(weight, packed.scales);
  packed.bias = network::quantized_bias(bias, input_scale, packed.scales);
  return packed;
}

namespace {

Window make_window(int64_t kernel, int64_t stride, int64_t padding) {
  return {static_cast<uint32_t>(kernel), static_cast<uint32_t>(stride),
          static_cast<uint32_t>(padding)};
}

}  // namespace

Window window(const network::Conv2d& op) { return make_window(op.kernel, op.stride, op.padding); }

Window window(const network::Node& node) {
  if (const auto* pool = std::get_if<network::MaxPool>(&node.op)) {
    return make_window(pool->kernel, pool->stride, pool->padding);
  }
  if (const auto* pool = std::get_if<network::AveragePool>(&node.op)) {
    return make_window(pool->kernel, pool->stride, pool->padding);
  }
  throw InvariantError("xnn::window: node = " + node.name + ", expected a pooling node");
}

}  // namespace lathe::device::xnn
