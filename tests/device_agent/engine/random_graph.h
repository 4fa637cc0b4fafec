#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/rng.h"
#include "network/network.h"

namespace lathe::device::testing {

/// Returns a random network of every operator that joins, slices, shuffles and reuses tensors far
/// back: made to find errors in where tensors are placed. The same for the same seed.
inline network::Network random_graph(uint64_t seed, int nodes) {
  using namespace network;
  Rng rng(seed);
  Network graph;
  const auto pick = [&](std::initializer_list<int64_t> values) {
    return rng.choose(std::vector<int64_t>(values));
  };
  const auto kind = [&] { return static_cast<ActivationKind>(rng.integer(0, 6)); };
  graph.add_input("image", {1, pick({1, 2, 3, 4}), pick({5, 8, 9}), pick({5, 8, 7})});
  const auto shape = [&](NodeId id) { return graph.node(id).shape; };
  const auto image = [&] {  // a recent or an old node that is an image
    while (true) {
      const auto last = static_cast<int64_t>(graph.nodes().size()) - 1;
      const auto id =
          static_cast<NodeId>(rng.bernoulli(0.6) ? rng.integer(std::max<int64_t>(0, last - 2), last)
                                                 : rng.integer(0, last));
      if (shape(id).size() == 4) return id;
    }
  };
  const auto alike = [&](NodeId id, bool channels_too) {  // another node of the same size
    std::vector<NodeId> others;
    for (const Node& node : graph.nodes()) {
      if (node.shape.size() == 4 && node.shape[2] == shape(id)[2] &&
          node.shape[3] == shape(id)[3] && (!channels_too || node.shape[1] == shape(id)[1])) {
        others.push_back(node.id);
      }
    }
    return rng.choose(others);
  };
  for (int i = 0; i < nodes; ++i) {
    const std::string name = "node" + std::to_string(i);
    const NodeId from = image();
    const int64_t channels = shape(from)[1];
    const int64_t smallest = std::min(shape(from)[2], shape(from)[3]);
    switch (rng.integer(0, 13)) {
      case 0:
      case 1: {
        Conv2d op;
        op.kernel = pick({1, 1, 3, 5, 7});
        op.padding = op.kernel / 2;
        op.stride = smallest > 3 ? pick({1, 1, 2}) : 1;
        op.bias = rng.bernoulli(0.5);
        op.activation = kind();
        const int64_t style = rng.integer(0, 3);
        op.groups = style == 0 ? channels : style == 1 && channels % 2 == 0 ? 2 : 1;
        op.out_channels = op.groups * pick({1, 1, 2, 3});
        if (op.groups == 1) op.out_channels = pick({1, 4, 6, 8, 12});
        if (op.out_channels > 48) op.out_channels = op.groups;
        graph.add(name, op, {from});
        break;
      }
      case 2:
        graph.add(name, BatchNorm{}, {from});
        break;
      case 3:
        graph.add(name, Activation{kind()}, {from});
        break;
      case 4:
        graph.add(name, Add{kind()}, {from, alike(from, true)});
        break;
      case 5:
        graph.add(name, Multiply{}, {from, alike(from, true)});
        break;
      case 6: {
        const NodeId mean = graph.add(name + ".mean", GlobalAveragePool{}, {from});
        Conv2d op;
        op.out_channels = channels;
        op.bias = true;
        op.activation = rng.bernoulli(0.5) ? ActivationKind::HardSigmoid : ActivationKind::Sigmoid;
        const NodeId gate = graph.add(name + ".gate", op, {mean});
        graph.add(name, Multiply{}, {from, gate});
        break;
      }
      case 7:
      case 8: {
        std::vector<NodeId> parts{from};
        int64_t total = channels;
        for (int64_t n = rng.integer(1, 3); n > 0; --n) {
          const NodeId part = alike(from, false);
          if (total + shape(part)[1] > 64) break;
          total += shape(part)[1];
          parts.push_back(part);
        }
        if (parts.size() > 1) graph.add(name, Concat{}, parts);
        break;
      }
      case 9: {
        const int64_t begin = rng.integer(0, channels - 1);
        graph.add(name, ChannelSlice{begin, rng.integer(begin + 1, channels)}, {from});
        break;
      }
      case 10: {
        const int64_t groups = pick({1, 2, 3, 4});
        if (channels % groups == 0) graph.add(name, ChannelShuffle{groups}, {from});
        break;
      }
      case 11: {
        const int64_t window = pick({1, 2, 3});
        if (smallest < 4) break;
        const int64_t padding = window == 3 ? pick({0, 1}) : 0;
        const int64_t stride = pick({1, 2});
        if (rng.bernoulli(0.5)) {
          graph.add(name, MaxPool{window, stride, padding}, {from});
        } else {
          graph.add(name, AveragePool{window, stride, padding}, {from});
        }
        break;
      }
      case 12:
        graph.add(name, Resize{pick({3, 5, 8, 9}), pick({3, 5, 7, 8})}, {from});
        break;
      case 13:
        graph.add(name, GlobalAveragePool{}, {from});
        break;
    }
  }
  NodeId last = static_cast<NodeId>(graph.nodes().size()) - 1;
  switch (rng.integer(0, 3)) {
    case 0:
      break;
    case 1:
      graph.add("flat", Flatten{}, {last});
      break;
    default: {
      const NodeId flat = graph.add("flat", Flatten{}, {last});
      Linear head;
      head.out_features = 5;
      head.activation = kind();
      graph.add("head", head, {flat});
      if (rng.bernoulli(0.3))
        graph.add("head.norm", Activation{kind()}, {static_cast<NodeId>(graph.nodes().size()) - 1});
    }
  }
  return graph;
}

}  // namespace lathe::device::testing
