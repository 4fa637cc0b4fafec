#include "device_agent/worker/reference_model.h"

#include <cstdint>
#include <string>
#include <utility>

namespace lathe::device {

using network::ActivationKind;
using network::NodeId;

namespace {

network::Conv2d convolution(int64_t channels, int64_t kernel, int64_t stride,
                            ActivationKind activation) {
  network::Conv2d op;
  op.out_channels = channels;
  op.kernel = kernel;
  op.stride = stride;
  op.padding = kernel / 2;
  op.bias = true;
  op.activation = activation;
  return op;
}

NodeId add_block(network::Network& net, const std::string& name, NodeId from, int64_t channels,
                 int64_t stride) {
  const int64_t input = net.node(from).shape[1];
  const int64_t inner = 4 * input;
  const NodeId expand =
      net.add(name + ".expand", convolution(inner, 1, 1, ActivationKind::Relu6), {from});
  network::Conv2d depthwise = convolution(inner, 3, stride, ActivationKind::Relu6);
  depthwise.groups = inner;
  const NodeId filtered = net.add(name + ".depthwise", depthwise, {expand});
  const NodeId project =
      net.add(name + ".project", convolution(channels, 1, 1, ActivationKind::Identity), {filtered});
  if (stride != 1 || input != channels) return project;
  return net.add(name + ".add", network::Add{}, {from, project});
}

}  // namespace

network::Model make_reference_model() {
  network::Network net;
  NodeId at = net.add_input("image", {1, 3, 96, 96});
  at = net.add("stem", convolution(8, 3, 2, ActivationKind::Relu6), {at});
  at = add_block(net, "block0", at, 16, 2);
  at = add_block(net, "block1", at, 16, 1);
  at = add_block(net, "block2", at, 24, 2);
  at = add_block(net, "block3", at, 24, 1);
  at = add_block(net, "block4", at, 40, 2);
  at = add_block(net, "block5", at, 40, 1);
  at = net.add("head", convolution(128, 1, 1, ActivationKind::Relu6), {at});
  at = net.add("mean", network::GlobalAveragePool{}, {at});
  at = net.add("flat", network::Flatten{}, {at});
  network::Linear classifier;
  classifier.out_features = 10;
  net.add("classifier", classifier, {at});
  network::Weights weights = network::random_weights(net, 20260101);
  return {std::move(net), std::move(weights)};
}

network::Model make_control_model(size_t control) {
  network::Network net;
  NodeId at = net.add_input("image", {1, 3, 32, 32});
  at = net.add("stem", convolution(32, 3, 2, ActivationKind::Relu6), {at});
  at = add_block(net, "block0", at, 64, 2);
  at = add_block(net, "block1", at, 128, 2);
  for (const char* name : {"block2", "block3", "block4"}) at = add_block(net, name, at, 128, 1);
  if (control > 0) {
    at = add_block(net, "block5", at, 256, 2);
    for (const char* name : {"block6", "block7", "block8", "block9", "block10"}) {
      at = add_block(net, name, at, 256, 1);
    }
  }
  net.add("mean", network::GlobalAveragePool{}, {at});
  // Small values of both signs: what they are does not matter, and drawing millions takes its time.
  network::Weights weights;
  uint32_t state = 1;
  for (const network::Node& node : net.nodes()) {
    for (const network::Parameter& parameter : node.parameters) {
      network::Tensor& tensor = weights[parameter.name];
      tensor.shape = parameter.shape;
      tensor.values.resize(static_cast<size_t>(network::element_count(parameter.shape)));
      for (float& value : tensor.values) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<float>(state >> 16) / 655360.0F - 0.05F;
      }
    }
  }
  return {std::move(net), std::move(weights)};
}

}  // namespace lathe::device
