#include "search/space/network_builder.h"

#include <algorithm>
#include <utility>

namespace lathe::search {

using network::ActivationKind;
using network::NodeId;

int64_t make_divisible(double value, int64_t divisor) {
  const auto half_up = static_cast<int64_t>(value + static_cast<double>(divisor) / 2.0);
  const int64_t rounded = std::max(divisor, half_up / divisor * divisor);
  return static_cast<double>(rounded) < 0.9 * value ? rounded + divisor : rounded;
}

NetworkBuilder::NetworkBuilder(double batch_norm_epsilon)
    : batch_norm_epsilon_(batch_norm_epsilon) {}

NodeId NetworkBuilder::input(const network::Shape& shape) {
  return network_.add_input("input", shape);
}

int64_t NetworkBuilder::channels(NodeId id) const { return network_.node(id).shape.at(1); }

NodeId NetworkBuilder::conv_bn_act(const std::string& name, NodeId input,
                                   const ConvOptions& options) {
  network::Conv2d conv;
  conv.out_channels = options.out_channels;
  conv.kernel = options.kernel;
  conv.stride = options.stride;
  conv.padding = options.kernel / 2;
  conv.groups = options.groups;
  const NodeId convolved = network_.add(name + ".conv", conv, {input});
  const NodeId normalised =
      network_.add(name + ".bn", network::BatchNorm{batch_norm_epsilon_}, {convolved});
  return activation(name + ".act", normalised, options.activation);
}

NodeId NetworkBuilder::depthwise_bn_act(const std::string& name, NodeId input,
                                        ConvOptions options) {
  options.out_channels = options.groups = channels(input);
  return conv_bn_act(name, input, options);
}

NodeId NetworkBuilder::activation(const std::string& name, NodeId input, ActivationKind kind) {
  if (kind == ActivationKind::Identity) return input;
  return network_.add(name, network::Activation{kind}, {input});
}

NodeId NetworkBuilder::squeeze_excite(const std::string& name, NodeId input,
                                      const SqueezeExciteOptions& options) {
  network::Conv2d reduce;
  reduce.out_channels = options.hidden;
  reduce.bias = true;
  network::Conv2d expand = reduce;
  expand.out_channels = channels(input);
  NodeId gate = network_.add(name + ".pool", network::GlobalAveragePool{}, {input});
  gate = network_.add(name + ".reduce", reduce, {gate});
  gate = activation(name + ".act", gate, options.inner);
  gate = network_.add(name + ".expand", expand, {gate});
  gate = activation(name + ".gate", gate, options.gate);
  return network_.add(name + ".scale", network::Multiply{}, {input, gate});
}

NodeId NetworkBuilder::add(const std::string& name, NodeId a, NodeId b) {
  return network_.add(name, network::Add{}, {a, b});
}

NodeId NetworkBuilder::node(const std::string& name, network::Operator op,
                            const std::vector<NodeId>& inputs) {
  return network_.add(name, std::move(op), inputs);
}

network::Network NetworkBuilder::take() { return std::exchange(network_, network::Network()); }

}  // namespace lathe::search
