#include "tests/support/integer_executor.h"

#include <algorithm>
#include <cmath>

#include "network/passes.h"

namespace lathe::test {
namespace {

using namespace network;

/// The sums of products of a layer, and its float requantisation as int8 kernels do it.
class LayerRunner {
 public:
  LayerRunner(const Model& model, const Node& node, const IntegerTensor& input)
      : node_(node), input_(input) {
    const Quantization& quantization = *model.quantization;
    in_ = quantization.outputs.at(model.network.node(node.inputs[0]).name);
    out_ = quantization.outputs.at(node.name);
    scales_ = quantization.weights.at(node.parameters[0].name);
    weight_ = quantized_weight(model.weights.at(node.parameters[0].name), scales_);
    bias_.assign(scales_.size(), 0);
    if (node.parameters.size() > 1) {
      bias_ = quantized_bias(model.weights.at(node.parameters[1].name), in_.scale, scales_);
    }
  }

  IntegerTensor run(const Conv2d& op) {
    IntegerTensor output{node_.shape, {}};
    const int64_t in_group = input_.shape[1] / op.groups;
    const int64_t out_group = op.out_channels / op.groups;
    for (int64_t c = 0; c < op.out_channels; ++c) {
      for (int64_t y = 0; y < node_.shape[2]; ++y) {
        for (int64_t x = 0; x < node_.shape[3]; ++x) {
          int64_t sum = bias_[static_cast<size_t>(c)];
          for (int64_t i = 0; i < in_group; ++i) {
            sum += window(op, c, i, c / out_group * in_group + i, y, x);
          }
          output.values.push_back(requantized(sum, static_cast<size_t>(c), op.activation));
        }
      }
    }
    return output;
  }

  IntegerTensor run(const Linear& op) {
    IntegerTensor output{node_.shape, {}};
    const size_t in = input_.values.size();
    for (size_t o = 0; o < static_cast<size_t>(op.out_features); ++o) {
      int64_t sum = bias_[o];
      for (size_t i = 0; i < in; ++i) {
        sum += int64_t{weight_[o * in + i]} * (input_.values[i] - in_.zero_point);
      }
      output.values.push_back(requantized(sum, o, op.activation));
    }
    return output;
  }

 private:
  int64_t window(const Conv2d& op, int64_t c, int64_t i, int64_t channel, int64_t y,
                 int64_t x) const {
    int64_t sum = 0;
    const int64_t height = input_.shape[2];
    const int64_t width = input_.shape[3];
    for (int64_t ky = 0; ky < op.kernel; ++ky) {
      for (int64_t kx = 0; kx < op.kernel; ++kx) {
        const int64_t row = y * op.stride - op.padding + ky;
        const int64_t column = x * op.stride - op.padding + kx;
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        const int64_t in_group = input_.shape[1] / op.groups;
        const int64_t tap = ((c * in_group + i) * op.kernel + ky) * op.kernel + kx;
        const int64_t at = (channel * height + row) * width + column;
        sum += int64_t{weight_[static_cast<size_t>(tap)]} *
               (input_.values[static_cast<size_t>(at)] - in_.zero_point);
      }
    }
    return sum;
  }

  int8_t requantized(int64_t sum, size_t channel, ActivationKind kind) const {
    const float factor = in_.scale * scales_[channel] / out_.scale;
    const float steps = std::nearbyint(static_cast<float>(sum) * factor);
    const float value = steps + static_cast<float>(out_.zero_point);
    const bool clamped = kind != ActivationKind::Identity;
    const float low = clamped ? static_cast<float>(out_.quantize(0.0F)) : -128.0F;
    const float high =
        kind == ActivationKind::Relu6 ? static_cast<float>(out_.quantize(6.0F)) : 127.0F;
    return static_cast<int8_t>(std::min(std::max(value, low), high));
  }

  const Node& node_;
  const IntegerTensor& input_;
  TensorScale in_, out_;
  std::vector<float> scales_;
  std::vector<int8_t> weight_;
  std::vector<int32_t> bias_;
};

Tensor dequantized(const IntegerTensor& tensor, const TensorScale& scale) {
  Tensor result{tensor.shape, {}};
  for (const int8_t value : tensor.values) result.values.push_back(scale.dequantize(value));
  return result;
}

IntegerTensor quantized(const Tensor& tensor, const TensorScale& scale) {
  IntegerTensor result{tensor.shape, {}};
  for (const float value : tensor.values) result.values.push_back(scale.quantize(value));
  return result;
}

}  // namespace

IntegerTensor run_integer_node(const Model& model, const Node& node,
                               const std::vector<const IntegerTensor*>& inputs) {
  if (const auto* conv = std::get_if<Conv2d>(&node.op)) {
    return LayerRunner(model, node, *inputs[0]).run(*conv);
  }
  if (const auto* linear = std::get_if<Linear>(&node.op)) {
    return LayerRunner(model, node, *inputs[0]).run(*linear);
  }
  const auto& scales = model.quantization->outputs;
  std::vector<Tensor> floats;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = model.network.node(node.inputs[i]).name;
    floats.push_back(dequantized(*inputs[i], scales.at(name)));
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& tensor : floats) pointers.push_back(&tensor);
  return quantized(run_reference_node(node, model.weights, pointers), scales.at(node.name));
}

std::vector<IntegerTensor> run_integers(const Model& model, const Tensor& image) {
  std::vector<IntegerTensor> values;
  for (const Node& node : model.network.nodes()) {
    if (node.inputs.empty()) {
      values.push_back(quantized(image, model.quantization->outputs.at(node.name)));
      continue;
    }
    std::vector<const IntegerTensor*> inputs;
    for (const NodeId id : node.inputs) inputs.push_back(&values[static_cast<size_t>(id)]);
    values.push_back(run_integer_node(model, node, inputs));
  }
  return values;
}

}  // namespace lathe::test
