#include "network/pruning/prune.h"

#include <algorithm>
#include <string>
#include <utility>

namespace lathe::network {
namespace {

/// The channels that stay, in order, of each node.
using Kept = std::vector<std::vector<int64_t>>;

std::string where(const Node& node) {
  return "prune: " + std::string(operator_name(node.op)) + " " + node.name;
}

Kept find_kept(const Network& network, const std::vector<Channel>& removed) {
  const ChannelCoupling coupling(network);
  std::vector<bool> gone(coupling.classes(), false);
  for (const Channel& channel : removed) {
    const Node& node = network.node(channel.node);
    if (channel.index < 0 || channel.index >= node.shape[1]) {
      throw InvariantError(where(node) + ": channel " + std::to_string(channel.index) +
                           ", expected 0 to " + std::to_string(node.shape[1] - 1));
    }
    if (coupling.is_fixed(channel)) {
      throw InvariantError(where(node) + ": channel " + std::to_string(channel.index) +
                           " is tied to the network's input or result, expected a free one");
    }
    gone[coupling.class_of(channel)] = true;
  }
  Kept kept;
  for (const Node& node : network.nodes()) {
    std::vector<int64_t>& channels = kept.emplace_back();
    for (int64_t c = 0; c < node.shape[1]; ++c) {
      if (!gone[coupling.class_of({node.id, c})]) channels.push_back(c);
    }
    if (channels.empty()) {
      throw InvariantError(where(node) + ": all " + std::to_string(node.shape[1]) +
                           " channels are removed, expected one to stay");
    }
  }
  return kept;
}

const std::vector<int64_t>& kept_of(const Kept& kept, NodeId id) {
  return kept[static_cast<size_t>(id)];
}

int64_t count_below(const std::vector<int64_t>& channels, int64_t bound) {
  return std::lower_bound(channels.begin(), channels.end(), bound) - channels.begin();
}

bool is_depthwise(const Network& network, const Node& node, const Conv2d& op) {
  return op.groups > 1 && network.node(node.inputs[0]).shape[1] == op.groups;
}

Operator shrunk(const Network& network, const Node& node, const Kept& kept) {
  Operator op = node.op;
  const auto width = static_cast<int64_t>(kept_of(kept, node.id).size());
  if (auto* conv = std::get_if<Conv2d>(&op)) {
    const auto inputs = static_cast<int64_t>(kept_of(kept, node.inputs[0]).size());
    if (is_depthwise(network, node, *conv)) conv->groups = inputs;
    conv->out_channels = width;
  } else if (auto* linear = std::get_if<Linear>(&op)) {
    linear->out_features = width;
  } else if (auto* slice = std::get_if<ChannelSlice>(&op)) {
    slice->begin = count_below(kept_of(kept, node.inputs[0]), slice->begin);
    slice->end = slice->begin + width;
  }
  return op;
}

Network shrunk(const Network& network, const Kept& kept) {
  Network result;
  for (const Node& node : network.nodes()) {
    if (node.id == network.input()) {
      result.add_input(node.name, node.shape);
    } else {
      result.add(node.name, shrunk(network, node, kept), node.inputs);
    }
  }
  result.set_output(network.output());
  return result;
}

/// Returns the columns of a weight [out, columns, ...] that stay: of a convolution with groups
/// those of the first group, which are those of every group.
std::vector<int64_t> kept_columns(const Node& node, const Kept& kept) {
  std::vector<int64_t> columns = kept_of(kept, node.inputs[0]);
  columns.resize(static_cast<size_t>(count_below(columns, node.parameters[0].shape[1])));
  if (columns.empty()) columns = {0};  // a depthwise convolution whose first group goes
  return columns;
}

Tensor select(const Tensor& from, const std::vector<int64_t>& rows,
              const std::vector<int64_t>& columns, const Shape& shape) {
  Tensor to{shape, {}};
  to.values.reserve(static_cast<size_t>(element_count(shape)));
  const int64_t width = from.shape.size() > 1 ? from.shape[1] : 1;
  const int64_t cell = element_count(from.shape) / (from.shape[0] * width);
  for (const int64_t row : rows) {
    for (const int64_t column : columns) {
      const auto begin = from.values.begin() + (row * width + column) * cell;
      to.values.insert(to.values.end(), begin, begin + cell);
    }
  }
  return to;
}

}  // namespace

Network prune(const Network& network, const std::vector<Channel>& removed) {
  return shrunk(network, find_kept(network, removed));
}

Model prune(const Model& model, const std::vector<Channel>& removed) {
  if (model.quantization) {
    throw InvariantError("prune: the model is quantised, expected a float model");
  }
  check_weights(model.network, model.weights);
  const Kept kept = find_kept(model.network, removed);
  Model result;
  result.network = shrunk(model.network, kept);
  result.stand_in_weights = model.stand_in_weights;
  for (const Node& node : model.network.nodes()) {
    for (size_t p = 0; p < node.parameters.size(); ++p) {
      const Parameter& to = result.network.node(node.id).parameters[p];
      const bool is_matrix = to.shape.size() > 1;
      const std::vector<int64_t> columns =
          is_matrix ? kept_columns(node, kept) : std::vector<int64_t>{0};
      result.weights[to.name] = select(model.weights.at(node.parameters[p].name),
                                       kept_of(kept, node.id), columns, to.shape);
    }
  }
  return result;
}

}  // namespace lathe::network
