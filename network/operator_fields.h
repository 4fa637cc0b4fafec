#pragma once

#include <string>
#include <type_traits>

#include "network/network.h"

namespace lathe::network {

/// Calls `visit(name, field)` for every attribute of `op` in a fixed order; fields are int64_t,
/// double, bool or ActivationKind. The one list behind digests and files: an attribute that is
/// missing here does not exist for them.
template <typename Op, typename Visitor>
void for_each_field(Op& op, Visitor&& visit) {
  using Plain = std::remove_const_t<Op>;
  if constexpr (std::is_same_v<Plain, Conv2d>) {
    visit("out_channels", op.out_channels);
    visit("kernel", op.kernel);
    visit("stride", op.stride);
    visit("padding", op.padding);
    visit("groups", op.groups);
    visit("bias", op.bias);
    visit("activation", op.activation);
  } else if constexpr (std::is_same_v<Plain, BatchNorm>) {
    visit("epsilon", op.epsilon);
  } else if constexpr (std::is_same_v<Plain, Activation>) {
    visit("kind", op.kind);
  } else if constexpr (std::is_same_v<Plain, Add>) {
    visit("activation", op.activation);
  } else if constexpr (std::is_same_v<Plain, ChannelSlice>) {
    visit("begin", op.begin);
    visit("end", op.end);
  } else if constexpr (std::is_same_v<Plain, ChannelShuffle>) {
    visit("groups", op.groups);
  } else if constexpr (std::is_same_v<Plain, MaxPool> || std::is_same_v<Plain, AveragePool>) {
    visit("kernel", op.kernel);
    visit("stride", op.stride);
    visit("padding", op.padding);
  } else if constexpr (std::is_same_v<Plain, Linear>) {
    visit("out_features", op.out_features);
    visit("bias", op.bias);
    visit("activation", op.activation);
  } else if constexpr (std::is_same_v<Plain, Resize>) {
    visit("height", op.height);
    visit("width", op.width);
  } else {
    static_assert(std::is_empty_v<Plain>, "list the operator's attributes here");
  }
}

}  // namespace lathe::network
