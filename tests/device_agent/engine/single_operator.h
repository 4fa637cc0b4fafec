#pragma once

#include "network/network.h"

namespace lathe::device::testing {

/// A network of one operator.
inline network::Network single(const network::Shape& input, const network::Operator& op) {
  network::Network net;
  const network::NodeId image = net.add_input("image", input);
  net.add("op", op, {image});
  return net;
}

/// A convolution with a bias whose padding keeps the size at stride 1.
inline network::Conv2d conv(int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
  network::Conv2d op;
  op.out_channels = out;
  op.kernel = kernel;
  op.stride = stride;
  op.padding = kernel / 2;
  op.groups = groups;
  op.bias = true;
  return op;
}

}  // namespace lathe::device::testing
