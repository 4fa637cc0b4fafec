#include "network/bias_correction.h"

#include "network/passes.h"

namespace lathe::network {
namespace {

std::vector<double> channel_means(const Tensor& tensor) {
  const auto channels = static_cast<size_t>(tensor.shape[1]);
  const size_t pixels = tensor.values.size() / channels;
  std::vector<double> means(channels, 0.0);
  for (size_t i = 0; i < tensor.values.size(); ++i) means[i / pixels] += double{tensor.values[i]};
  for (double& mean : means) mean /= static_cast<double>(pixels);
  return means;
}

}  // namespace

std::vector<double> mean_shift(const Node& node, const Weights& exact, const Tensor& exact_input,
                               const Weights& rounded, const Tensor& rounded_input) {
  Node linear = node;
  if (auto* conv = std::get_if<Conv2d>(&linear.op)) conv->activation = ActivationKind::Identity;
  if (auto* dense = std::get_if<Linear>(&linear.op)) dense->activation = ActivationKind::Identity;
  const std::vector<double> wanted =
      channel_means(run_reference_node(linear, exact, {&exact_input}));
  std::vector<double> shift = channel_means(run_reference_node(linear, rounded, {&rounded_input}));
  for (size_t c = 0; c < shift.size(); ++c) shift[c] -= wanted[c];
  return shift;
}

void subtract_from_bias(Model& model, const Node& node, const std::vector<double>& shift) {
  if (node.parameters.size() < 2) return;
  const std::vector<float>& scales = model.quantization->weights.at(node.parameters[0].name);
  const float input_scale =
      model.quantization->outputs.at(model.network.node(node.inputs[0]).name).scale;
  Tensor& bias = model.weights.at(node.parameters[1].name);
  for (size_t c = 0; c < shift.size(); ++c) {
    bias.values[c] = static_cast<float>(double{bias.values[c]} - shift[c]);
  }
  round_bias(bias, input_scale, scales);
}

}  // namespace lathe::network
