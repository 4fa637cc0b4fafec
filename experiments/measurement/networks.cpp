#include "experiments/measurement/networks.h"

#include "network/reference_networks.h"

namespace lathe::study {
namespace {

using network::ActivationKind;
using network::Conv2d;
using network::Network;
using network::NodeId;

Conv2d convolution(int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                   ActivationKind activation) {
  Conv2d conv;
  conv.out_channels = out;
  conv.kernel = kernel;
  conv.stride = stride;
  conv.padding = kernel / 2;
  conv.groups = groups;
  conv.bias = true;
  conv.activation = activation;
  return conv;
}

/// Three stages of inverted residuals; `extra` more hidden channels in every block of the middle
/// stage.
Network inverted_residuals(int64_t extra) {
  Network network;
  NodeId x = network.add_input("image", {1, 3, 64, 64});
  x = network.add("stem", convolution(16, 3, 2, 1, ActivationKind::Relu6), {x});
  const int64_t widths[] = {16, 32, 64};
  for (int stage = 0; stage < 3; ++stage) {
    for (int block = 0; block < 3; ++block) {
      const std::string name = "stage" + std::to_string(stage) + ".block" + std::to_string(block);
      const int64_t hidden = 4 * widths[stage] + (stage == 1 ? extra : 0);
      const bool down = block == 0 && stage > 0;
      NodeId y =
          network.add(name + ".expand", convolution(hidden, 1, 1, 1, ActivationKind::Relu6), {x});
      y = network.add(name + ".depthwise",
                      convolution(hidden, 3, down ? 2 : 1, hidden, ActivationKind::Relu6), {y});
      y = network.add(name + ".project",
                      convolution(widths[stage], 1, 1, 1, ActivationKind::Identity), {y});
      x = block == 0 ? y : network.add(name + ".add", network::Add{}, {x, y});
    }
  }
  x = network.add("pool", network::GlobalAveragePool{}, {x});
  x = network.add("flat", network::Flatten{}, {x});
  network::Linear classifier;
  classifier.out_features = 10;
  network.add("classifier", classifier, {x});
  return network;
}

}  // namespace

std::vector<NamedNetwork> mixed_networks() {
  std::vector<NamedNetwork> networks;
  for (const char* name : {"mobilenet_v2_0.35", "shufflenet_v2", "mnasnet", "mobilenet_v2"}) {
    for (const int64_t resolution : {64, 96, 128}) {
      network::ReferenceOptions options;
      options.resolution = resolution;
      options.classes = 100;
      networks.push_back({std::string(name) + "@" + std::to_string(resolution),
                          network::reference_network(name, options)});
    }
  }
  return networks;
}

NamedNetwork mobilenet_v2_224() {
  return {"mobilenet_v2@224", network::reference_network("mobilenet_v2")};
}

std::vector<NamedNetwork> close_networks(int count) {
  std::vector<NamedNetwork> networks;
  for (int i = 0; i < count; ++i) {
    const int64_t extra = 8 * i / 5;  // within 30 %
    networks.push_back({"hidden+" + std::to_string(extra), inverted_residuals(extra)});
  }
  return networks;
}

}  // namespace lathe::study
