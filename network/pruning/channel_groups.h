#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// One channel of a node's output: of an image [N, C, H, W] or, after flattening, a feature [N, C].
struct Channel {
  NodeId node = 0;
  int64_t index = 0;
  bool operator==(const Channel& o) const { return node == o.node && index == o.index; }
  bool operator<(const Channel& o) const {
    return node != o.node ? node < o.node : index < o.index;
  }
};

/// Which channels of a network can only be removed together, found from the graph alone, channel
/// by channel: a union-find over all (node, channel). Channels are tied
/// - by operators that keep channels apart (batch norm, activation, pooling, resizing, slice,
///   concatenation): an output channel to the one that it is made of; by flattening: all its
///   pixels;
/// - by Add and Multiply, a squeeze-excite gate included: the equal channels of both inputs;
/// - by a depthwise convolution: an input channel to all its outputs;
/// - by any other convolution with groups: the i-th input of every group, and the i-th output of
///   every group, so that the groups stay equal;
/// - by a shuffle: what stands at one place of every group, so that it stays a shuffle.
/// Outputs of convolutions without groups and of linear layers are free. The network's input and
/// result are fixed, and so is what is tied to them. Immutable.
class ChannelCoupling {
 public:
  explicit ChannelCoupling(const Network& network);

  /// Returns the same number for channels that are tied. \pre the network has the channel.
  size_t class_of(Channel channel) const;
  /// Whether the channel is tied to the network's input or result.
  bool is_fixed(Channel channel) const { return class_of(channel) == class_of_fixed_; }
  size_t classes() const { return classes_; }  ///< all numbers are below

 private:
  std::vector<size_t> first_;  ///< of each node's channels in class_
  std::vector<size_t> class_;
  size_t class_of_fixed_ = 0;
  size_t classes_ = 0;
};

/// Channels that are removed together, in order.
using CoupledChannels = std::vector<Channel>;

/// Units of tied channels that lie in the same tensors: what pruning chooses among. The filters of
/// one convolution, or of all those that a residual sum ties.
struct ChannelGroup {
  /// The first convolution or linear layer in it; followed by "@" and the first channel unless that
  /// is 0, because a slice parts a convolution's channels into several groups.
  std::string name;
  std::vector<NodeId> nodes;           ///< whose outputs hold the channels, in order
  std::vector<CoupledChannels> units;  ///< by their first channels
};

/// Returns the groups of all channels that may be removed, by their first nodes. As long as a
/// group keeps one unit no tensor is empty; groups of one unit are therefore left out.
std::vector<ChannelGroup> find_channel_groups(const Network& network);

}  // namespace lathe::network
