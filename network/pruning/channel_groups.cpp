#include "network/pruning/channel_groups.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace lathe::network {
namespace {

class UnionFind {
 public:
  explicit UnionFind(size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
  }
  size_t root(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  /// The smaller root stays, so that numbers follow the order of channels.
  void tie(size_t a, size_t b) {
    a = root(a);
    b = root(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

/// Ties what one node ties; every member of the variant has its overload.
class Tying {
 public:
  Tying(const Network& network, const std::vector<size_t>& first, UnionFind& ties, const Node& node)
      : network_(network), first_(first), ties_(ties), node_(node) {}

  void operator()(const Input&) const {}

  void operator()(const Conv2d& op) const {
    if (op.groups == 1) return;
    const int64_t inputs = input_channels(0) / op.groups;
    const int64_t outputs = channels() / op.groups;
    if (inputs == 1) {
      for (int64_t c = 0; c < channels(); ++c) ties_.tie(in(0, c / outputs), out(c));
      return;
    }
    for (int64_t c = inputs; c < inputs * op.groups; ++c) ties_.tie(in(0, c % inputs), in(0, c));
    for (int64_t c = outputs; c < channels(); ++c) ties_.tie(out(c % outputs), out(c));
  }
  void operator()(const Linear&) const {}

  void operator()(const BatchNorm&) const { each_to_its_own(0); }
  void operator()(const Activation&) const { each_to_its_own(0); }
  void operator()(const MaxPool&) const { each_to_its_own(0); }
  void operator()(const AveragePool&) const { each_to_its_own(0); }
  void operator()(const GlobalAveragePool&) const { each_to_its_own(0); }
  void operator()(const Resize&) const { each_to_its_own(0); }
  void operator()(const Add&) const { both(); }
  void operator()(const Multiply&) const { both(); }

  void operator()(const Concat&) const {
    int64_t offset = 0;
    for (size_t i = 0; i < node_.inputs.size(); ++i) {
      for (int64_t c = 0; c < input_channels(i); ++c) ties_.tie(in(i, c), out(offset + c));
      offset += input_channels(i);
    }
  }

  void operator()(const ChannelSlice& op) const {
    for (int64_t c = op.begin; c < op.end; ++c) ties_.tie(in(0, c), out(c - op.begin));
  }

  void operator()(const ChannelShuffle& op) const {
    const int64_t places = channels() / op.groups;
    for (int64_t c = 0; c < channels(); ++c) {
      const int64_t place = c % places;
      ties_.tie(in(0, c), out(place * op.groups + c / places));
      ties_.tie(in(0, c), in(0, place));
    }
  }

  void operator()(const Flatten&) const {
    const int64_t pixels = channels() / input_channels(0);
    for (int64_t c = 0; c < channels(); ++c) ties_.tie(in(0, c / pixels), out(c));
  }

 private:
  int64_t channels() const { return node_.shape[1]; }
  int64_t input_channels(size_t input) const { return network_.node(node_.inputs[input]).shape[1]; }
  size_t in(size_t input, int64_t channel) const {
    return first_[static_cast<size_t>(node_.inputs[input])] + static_cast<size_t>(channel);
  }
  size_t out(int64_t channel) const {
    return first_[static_cast<size_t>(node_.id)] + static_cast<size_t>(channel);
  }
  void each_to_its_own(size_t input) const {
    for (int64_t c = 0; c < channels(); ++c) ties_.tie(in(input, c), out(c));
  }
  void both() const {
    each_to_its_own(0);
    each_to_its_own(1);
  }

  const Network& network_;
  const std::vector<size_t>& first_;
  UnionFind& ties_;
  const Node& node_;
};

bool makes_channels(const Operator& op) {
  return std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op);
}

std::vector<NodeId> nodes_of(const CoupledChannels& unit) {
  std::vector<NodeId> nodes;
  for (const Channel& channel : unit) {
    if (nodes.empty() || nodes.back() != channel.node) nodes.push_back(channel.node);
  }
  return nodes;
}

std::string name_of(const Network& network, const CoupledChannels& unit) {
  const auto maker = std::find_if(unit.begin(), unit.end(), [&](const Channel& channel) {
    return makes_channels(network.node(channel.node).op);
  });
  const std::string& name = network.node(maker->node).name;
  return maker->index == 0 ? name : name + "@" + std::to_string(maker->index);
}

}  // namespace

ChannelCoupling::ChannelCoupling(const Network& network) {
  size_t count = 1;  // number 0 stands for all that is fixed
  for (const Node& node : network.nodes()) {
    first_.push_back(count);
    count += static_cast<size_t>(node.shape[1]);
  }
  UnionFind ties(count);
  for (const Node& node : network.nodes()) {
    std::visit(Tying(network, first_, ties, node), node.op);
    if (node.id != network.input() && node.id != network.output()) continue;
    const size_t begin = first_[static_cast<size_t>(node.id)];
    for (size_t c = 0; c < static_cast<size_t>(node.shape[1]); ++c) ties.tie(0, begin + c);
  }
  std::map<size_t, size_t> numbers;
  for (size_t i = 0; i < count; ++i) {
    class_.push_back(numbers.emplace(ties.root(i), numbers.size()).first->second);
  }
  class_of_fixed_ = class_[0];
  classes_ = numbers.size();
}

size_t ChannelCoupling::class_of(Channel channel) const {
  return class_[first_[static_cast<size_t>(channel.node)] + static_cast<size_t>(channel.index)];
}

std::vector<ChannelGroup> find_channel_groups(const Network& network) {
  const ChannelCoupling coupling(network);
  std::vector<CoupledChannels> units(coupling.classes());
  for (const Node& node : network.nodes()) {
    for (int64_t c = 0; c < node.shape[1]; ++c) {
      const Channel channel{node.id, c};
      if (!coupling.is_fixed(channel)) units[coupling.class_of(channel)].push_back(channel);
    }
  }
  std::map<std::vector<NodeId>, ChannelGroup> by_nodes;
  for (CoupledChannels& unit : units) {
    if (unit.empty()) continue;
    ChannelGroup& group = by_nodes[nodes_of(unit)];
    if (group.units.empty()) group.name = name_of(network, unit);
    group.units.push_back(std::move(unit));
  }
  std::vector<ChannelGroup> groups;
  for (auto& [nodes, group] : by_nodes) {
    if (group.units.size() < 2) continue;
    group.nodes = nodes;
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace lathe::network
