#include "supernet/train/channel_sorting.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "network/pruning/channel_groups.h"

namespace lathe::supernet {
namespace {

using network::ChannelGroup;
using network::Node;

/// A dimension of a tensor that runs over the channels of a group.
struct Axis {
  network::Parameter parameter;
  int64_t dimension = 0;
};

/// "stage2.block0.expand.conv" -> "stage2.block0".
std::string block_of(const std::string& name) {
  return name.substr(0, name.find('.', name.find('.') + 1));
}

bool mixes_channels(const Node& node) {
  const auto* conv = std::get_if<network::Conv2d>(&node.op);
  return conv != nullptr && conv->groups == 1;
}

/// Whether channel i of every node of the group is unit i, so that one permutation fits all.
bool is_aligned(const ChannelGroup& group, const network::Network& network) {
  for (size_t unit = 0; unit < group.units.size(); ++unit) {
    if (group.units[unit].size() != group.nodes.size()) return false;
    for (const network::Channel& channel : group.units[unit]) {
      if (channel.index != static_cast<int64_t>(unit)) return false;
    }
  }
  return std::all_of(group.nodes.begin(), group.nodes.end(), [&](network::NodeId id) {
    return network.node(id).shape[1] == static_cast<int64_t>(group.units.size());
  });
}

/// The axes over the group's channels; those along which they are read stand last, in node order.
/// Nothing if a layer of another kind, or of another block, has to do with them.
std::optional<std::vector<Axis>> axes_of(const ChannelGroup& group,
                                         const network::Network& network) {
  const std::string block = block_of(network.node(group.nodes.front()).name);
  std::vector<Axis> axes;
  std::vector<Axis> reading;
  for (const Node& node : network.nodes()) {
    const bool within = std::count(group.nodes.begin(), group.nodes.end(), node.id) > 0;
    const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](auto input) {
      return std::count(group.nodes.begin(), group.nodes.end(), input) > 0;
    });
    if (!within && !reads) continue;
    if (block_of(node.name) != block) return std::nullopt;
    if (within) {
      for (const network::Parameter& parameter : node.parameters) axes.push_back({parameter, 0});
    }
    if (reads && mixes_channels(node)) {
      reading.push_back({node.parameters[0], 1});
    } else if (reads && !within) {
      return std::nullopt;
    }
  }
  if (reading.empty()) return std::nullopt;
  axes.insert(axes.end(), reading.begin(), reading.end());
  return axes;
}

/// The channels by falling L1 norm of the weights along `axis`; equal ones in their old order.
std::vector<int64_t> by_importance(const SharedWeights& weights, const Axis& axis) {
  const at::Tensor norms = weights.slice(axis.parameter).abs().sum({0, 2, 3}).to(at::kCPU);
  const float* values = norms.data_ptr<float>();
  std::vector<int64_t> order(static_cast<size_t>(norms.numel()));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [values](int64_t a, int64_t b) { return values[a] > values[b]; });
  return order;
}

}  // namespace

int64_t sort_channels(const network::Network& largest, SharedWeights& weights) {
  at::NoGradGuard no_gradients;
  int64_t reordered = 0;
  for (const ChannelGroup& group : network::find_channel_groups(largest)) {
    if (!is_aligned(group, largest)) continue;
    const auto axes = axes_of(group, largest);
    if (!axes) continue;
    const std::vector<int64_t> order = by_importance(weights, axes->back());
    const at::Tensor index = at::tensor(order, at::kLong).to(weights.values().device());
    for (const Axis& axis : *axes) {
      if (!weights.has(axis.parameter)) continue;  // statistics of batch norm are not shared
      at::Tensor slice = weights.slice(axis.parameter);
      slice.copy_(slice.index_select(axis.dimension, index));
      ++reordered;
    }
  }
  return reordered;
}

}  // namespace lathe::supernet
