#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "network/network.h"

namespace onnx {
class GraphProto;
}  // namespace onnx

namespace lathe::network {

/// What a group of ONNX nodes means, found before any of them is read.
struct OnnxPatterns {
  /// By node: it is read as a part of a later node.
  std::vector<bool> inner;
  /// By node: an activation of the named value (swish, hard-swish and whatever else has several
  /// nodes).
  struct ActivationOf {
    ActivationKind kind = ActivationKind::Identity;
    std::string input;
  };
  std::map<int, ActivationOf> activations;
  /// By node: the second Reshape of a channel shuffle, to the first one.
  std::map<int, int> shuffles;
  /// By node: the Add of a bias to a MatMul, to the MatMul.
  std::map<int, int> biased_products;
  /// By node: the activation that its own output passes through, written as a node of its own.
  std::map<int, ActivationKind> fused;
  /// By node: an activation that is already part of the node before it.
  std::map<int, std::string> aliases;
};

/// Finds the patterns of a graph. `scalar` returns a scalar float constant by name.
OnnxPatterns find_onnx_patterns(
    const onnx::GraphProto& graph,
    const std::function<std::optional<double>(const std::string&)>& scalar);

}  // namespace lathe::network
