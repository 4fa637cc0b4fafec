#include "network/quantized_executor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "network/passes.h"

namespace lathe::network {
namespace {

/// The rounding of one layer's sums, as int8 kernels do it: one float factor a channel.
class LayerRunner {
 public:
  LayerRunner(const Model& model, const Node& node, const Tensor& input)
      : node_(node), shape_(input.shape) {
    const Quantization& quantization = *model.quantization;
    in_ = quantization.outputs.at(model.network.node(node.inputs[0]).name);
    out_ = quantization.outputs.at(node.name);
    scales_ = quantization.weights.at(node.parameters[0].name);
    weight_ = quantized_weight(model.weights.at(node.parameters[0].name), scales_);
    bias_.assign(scales_.size(), 0);
    if (node.parameters.size() > 1) {
      bias_ = quantized_bias(model.weights.at(node.parameters[1].name), in_.scale, scales_);
    }
    for (const float value : input.values) input_.push_back(in_.quantize(value) - in_.zero_point);
    output_.shape = node.shape;
    output_.shape[0] = input.shape[0];
  }

  Tensor run(const Conv2d& op) {
    const int64_t in_group = shape_[1] / op.groups;
    const int64_t out_group = op.out_channels / op.groups;
    for (int64_t n = 0; n < shape_[0]; ++n) {
      for (int64_t c = 0; c < op.out_channels; ++c) {
        const int64_t first = n * shape_[1] + c / out_group * in_group;
        for (int64_t y = 0; y < node_.shape[2]; ++y) {
          for (int64_t x = 0; x < node_.shape[3]; ++x) {
            int64_t sum = bias_[static_cast<size_t>(c)];
            for (int64_t i = 0; i < in_group; ++i) {
              sum += window(op, c * in_group + i, first + i, y, x);
            }
            append(sum, static_cast<size_t>(c), op.activation);
          }
        }
      }
    }
    return std::move(output_);
  }

  Tensor run(const Linear& op) {
    const auto in = static_cast<size_t>(shape_[1]);
    for (size_t n = 0; n < static_cast<size_t>(shape_[0]); ++n) {
      for (size_t o = 0; o < static_cast<size_t>(op.out_features); ++o) {
        int64_t sum = bias_[o];
        for (size_t i = 0; i < in; ++i) sum += int64_t{weight_[o * in + i]} * input_[n * in + i];
        append(sum, o, op.activation);
      }
    }
    return std::move(output_);
  }

 private:
  /// The products of one filter plane and one input plane at an output position.
  int64_t window(const Conv2d& op, int64_t filter, int64_t plane, int64_t y, int64_t x) const {
    int64_t sum = 0;
    const int64_t height = shape_[2];
    const int64_t width = shape_[3];
    for (int64_t ky = 0; ky < op.kernel; ++ky) {
      const int64_t row = y * op.stride - op.padding + ky;
      if (row < 0 || row >= height) continue;
      for (int64_t kx = 0; kx < op.kernel; ++kx) {
        const int64_t column = x * op.stride - op.padding + kx;
        if (column < 0 || column >= width) continue;
        const auto tap = static_cast<size_t>((filter * op.kernel + ky) * op.kernel + kx);
        const auto at = static_cast<size_t>((plane * height + row) * width + column);
        sum += int64_t{weight_[tap]} * input_[at];
      }
    }
    return sum;
  }

  void append(int64_t sum, size_t channel, ActivationKind kind) {
    const float factor = in_.scale * scales_[channel] / out_.scale;
    const float steps = std::nearbyint(static_cast<float>(sum) * factor);
    const float value = steps + static_cast<float>(out_.zero_point);
    const bool clamped = kind != ActivationKind::Identity;
    const float low = clamped ? static_cast<float>(out_.quantize(0.0F)) : -128.0F;
    const float high =
        kind == ActivationKind::Relu6 ? static_cast<float>(out_.quantize(6.0F)) : 127.0F;
    const auto integer = static_cast<int8_t>(std::min(std::max(value, low), high));
    output_.values.push_back(out_.dequantize(integer));
  }

  const Node& node_;
  Shape shape_;
  TensorScale in_, out_;
  std::vector<float> scales_;
  std::vector<int8_t> weight_;
  std::vector<int32_t> bias_;
  std::vector<int32_t> input_;  ///< steps from zero
  Tensor output_;
};

}  // namespace

Tensor run_quantized_node(const Model& model, const Node& node,
                          const std::vector<const Tensor*>& inputs) {
  const Quantization& quantization = *model.quantization;
  if (computes_in_integers(model.network, quantization, node)) {
    if (const auto* conv = std::get_if<Conv2d>(&node.op)) {
      return LayerRunner(model, node, *inputs[0]).run(*conv);
    }
    if (const auto* linear = std::get_if<Linear>(&node.op)) {
      return LayerRunner(model, node, *inputs[0]).run(*linear);
    }
  }
  Tensor output = run_reference_node(node, model.weights, inputs);
  const auto scale = quantization.outputs.find(node.name);
  if (scale == quantization.outputs.end()) return output;
  for (float& value : output.values) {
    value = scale->second.dequantize(scale->second.quantize(value));
  }
  return output;
}

Tensor run_quantized(const Model& model, const Tensor& input,
                     const std::function<void(const Node&, const Tensor&)>& observe) {
  check_weights(model.network, model.weights);
  const std::string fault = quantization_fault(model);
  if (!fault.empty()) throw InvariantError("run_quantized: " + fault);
  Shape expected = model.network.input_shape();
  if (!input.shape.empty()) expected[0] = input.shape[0];
  if (input.shape != expected || expected[0] < 1 ||
      input.values.size() != static_cast<size_t>(element_count(expected))) {
    throw InvariantError("run_quantized: input " + to_string(input.shape) + " of " +
                         std::to_string(input.values.size()) + " values, expected " +
                         to_string(model.network.input_shape()) + " with any batch");
  }
  std::vector<int> uses = model.network.use_counts();
  std::vector<Tensor> values;
  for (const Node& node : model.network.nodes()) {
    std::vector<const Tensor*> inputs;
    for (const NodeId id : node.inputs) inputs.push_back(&values[static_cast<size_t>(id)]);
    if (inputs.empty()) inputs.push_back(&input);
    values.push_back(run_quantized_node(model, node, inputs));
    if (observe) observe(node, values.back());
    for (const NodeId id : node.inputs) {  // what nobody reads any more is dropped
      const auto index = static_cast<size_t>(id);
      if (--uses[index] == 0) values[index] = {};
    }
  }
  return values[static_cast<size_t>(model.network.output())];
}

}  // namespace lathe::network
