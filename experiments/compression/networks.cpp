#include "experiments/compression/networks.h"

#include <string>

namespace lathe::study {
namespace {

using network::NodeId;

class Builder {
 public:
  explicit Builder(network::Network& network) : network_(network) {}

  NodeId conv(const std::string& name, NodeId x, int64_t width, int64_t kernel, int64_t stride) {
    network::Conv2d op;
    op.out_channels = width;
    op.kernel = kernel;
    op.stride = stride;
    op.padding = kernel / 2;
    return network_.add(name + ".bn", network::BatchNorm{},
                        {network_.add(name + ".conv", op, {x})});
  }
  NodeId relu(const std::string& name, NodeId x) {
    return network_.add(name, network::Activation{network::ActivationKind::Relu}, {x});
  }
  NodeId block(const std::string& name, NodeId x, int64_t width, int64_t stride) {
    NodeId y = relu(name + ".first.relu", conv(name + ".first", x, width, 3, stride));
    y = conv(name + ".second", y, width, 3, 1);
    const bool same = stride == 1 && network_.node(x).shape[1] == width;
    const NodeId shortcut = same ? x : conv(name + ".shortcut", x, width, 1, stride);
    return relu(name + ".relu", network_.add(name + ".add", network::Add{}, {y, shortcut}));
  }

 private:
  network::Network& network_;
};

}  // namespace

network::Network residual_network(const ResidualNetworkOptions& options) {
  network::Network network;
  Builder builder(network);
  NodeId x =
      network.add_input("input", {1, options.channels, options.resolution, options.resolution});
  x = builder.relu("stem.relu", builder.conv("stem", x, options.width, 3, options.stem_stride));
  for (int64_t stage = 0; stage < 3; ++stage) {
    for (int64_t b = 0; b < options.depth; ++b) {
      const std::string name = "stage" + std::to_string(stage + 1) + ".block" + std::to_string(b);
      x = builder.block(name, x, options.width << stage, stage > 0 && b == 0 ? 2 : 1);
    }
  }
  x = network.add("pool", network::GlobalAveragePool{}, {x});
  x = network.add("flatten", network::Flatten{}, {x});
  network.add("classifier", network::Linear{options.classes}, {x});
  return network;
}

std::string formal_space(const ResidualNetworkOptions& options) {
  return "input: {channels: " + std::to_string(options.channels) +
         ", resolution: " + std::to_string(options.resolution) +
         "}\nclasses: " + std::to_string(options.classes) +
         "\nstem: {width: 8}\nstages: [{block: conv, width: 8}]\n";
}

}  // namespace lathe::study
