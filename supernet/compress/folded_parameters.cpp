#include "supernet/compress/folded_parameters.h"

#include <utility>
#include <variant>

#include "core/error.h"
#include "network/passes.h"
#include "supernet/compress/fake_quantize.h"
#include "supernet/data/batches.h"

namespace lathe::supernet {
namespace {

using network::Node;

bool is_weight(const network::Parameter& parameter) { return parameter.shape.size() > 1; }

/// Returns by convolution the batch norm that deploy() folds into it.
std::map<std::string, const Node*> folded_norms(const network::Network& network) {
  const std::vector<int> uses = network.use_counts();
  std::map<std::string, const Node*> norms;
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<network::BatchNorm>(node.op)) continue;
    const Node& before = network.node(node.inputs[0]);
    const auto* conv = std::get_if<network::Conv2d>(&before.op);
    const bool folds = conv != nullptr && uses[static_cast<size_t>(before.id)] == 1 &&
                       conv->activation == network::ActivationKind::Identity;
    if (!folds) {
      throw ConfigError(
          "compress: quantize: training: batch_norm " + node.name +
          " follows no convolution of its own, expected only ones that can be folded");
    }
    norms[before.name] = &node;
  }
  return norms;
}

}  // namespace

FoldedParameters::Layout::Layout(const network::Model& start, const network::Network& deployed,
                                 std::map<std::string, WeightRounding> rounding,
                                 at::Device device) {
  const network::Network network = network::drop_unused(start.network);
  const auto norms = folded_norms(network);
  std::map<std::string, const Node*> by_name;
  for (const Node& node : network.nodes()) by_name[node.name] = &node;
  for (const Node& node : deployed.nodes()) {
    if (node.parameters.empty()) continue;
    const Node& from = *by_name.at(node.name);
    Layer layer;
    layer.weight = from.parameters[0];
    layer.bias.assign(from.parameters.begin() + 1, from.parameters.end());
    layer.rounding = rounding.at(node.name);
    const auto norm = norms.find(node.name);
    if (norm != norms.end()) {
      const Node& statistics = *norm->second;
      layer.norm.assign(statistics.parameters.begin(), statistics.parameters.begin() + 2);
      layer.mean = to_torch(start.weights.at(statistics.parameters[2].name), device);
      const at::Tensor variance = to_torch(start.weights.at(statistics.parameters[3].name), device);
      layer.inverse = at::rsqrt(variance + std::get<network::BatchNorm>(statistics.op).epsilon);
    }
    for (const network::Parameter& parameter : node.parameters)
      node_of_[parameter.name] = node.name;
    layers_[node.name] = std::move(layer);
  }
}

const FoldedParameters::Layout::Layer& FoldedParameters::layer_of(
    const network::Parameter& parameter) const {
  return layout_.layers_.at(layout_.node_of_.at(parameter.name));
}

at::Tensor FoldedParameters::exact(const network::Parameter& parameter) {
  const Layout::Layer& layer = layer_of(parameter);
  if (layer.norm.empty()) {
    return slices_.value(is_weight(parameter) ? layer.weight : layer.bias[0]);
  }
  const at::Tensor factor = slices_.value(layer.norm[0]) * layer.inverse;
  if (is_weight(parameter)) return slices_.value(layer.weight) * factor.view({-1, 1, 1, 1});
  const at::Tensor before =
      layer.bias.empty() ? -layer.mean : slices_.value(layer.bias[0]) - layer.mean;
  return slices_.value(layer.norm[1]) + before * factor;
}

at::Tensor FoldedParameters::scales(const network::Parameter& parameter) {
  const at::Tensor weight = exact(parameter);
  const bool binary = layer_of(parameter).rounding == WeightRounding::Binary;
  return binary ? binary_scales(weight) : channel_scales(weight);
}

at::Tensor FoldedParameters::value(const network::Parameter& parameter) {
  const at::Tensor folded = exact(parameter);
  if (!is_weight(parameter)) return folded;
  switch (layer_of(parameter).rounding) {
    case WeightRounding::Float:
      return folded;
    case WeightRounding::Int8:
      return fake_quantize_weight(folded, channel_scales(folded));
    case WeightRounding::Binary:
      return fake_binary_weight(folded, binary_scales(folded));
  }
  throw InvariantError("FoldedParameters: unknown rounding");
}

}  // namespace lathe::supernet
