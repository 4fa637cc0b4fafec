#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/error.h"
#include "network/quantization.h"

namespace lathe::network {

/// Dimensions of a tensor, batch first; images are [N, C, H, W]. A Network has N = 1; executors
/// take any N.
using Shape = std::vector<int64_t>;

/// Returns "[1, 16, 28, 28]".
std::string to_string(const Shape& shape);
/// Returns the product of the dimensions (1 for an empty shape).
int64_t element_count(const Shape& shape);

/// Index of a node in Network::nodes(); also names the node's single output tensor.
using NodeId = int32_t;

/// NegatedRelu is max(0, -x), the second half of CReLU.
enum class ActivationKind {
  Identity,
  Relu,
  Relu6,
  HardSwish,
  Swish,
  HardSigmoid,
  Sigmoid,
  NegatedRelu
};
const char* to_string(ActivationKind kind);  ///< "relu6", "hard_swish", ...
/// \throws ConfigError listing the names if there is none called `name`.
ActivationKind activation_from_string(const std::string& name);
/// Returns the activation of `x`: the definition that engines are held against.
float activate(ActivationKind kind, float x);

// The operators. Every node has one output. Convolutions and linear layers may carry an activation
// that runs on their output (set by the fuse_activations pass and by builders of deployed
// networks).

struct Input {};
/// Cross-correlation, weight [out, in / groups, kernel, kernel], zero padding on all four sides.
struct Conv2d {
  int64_t out_channels = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t groups = 1;
  bool bias = false;
  ActivationKind activation = ActivationKind::Identity;
};
/// Per-channel normalisation with parameters gamma, beta, mean, variance.
struct BatchNorm {
  double epsilon = 1e-5;
};
struct Activation {
  ActivationKind kind = ActivationKind::Relu;
};
/// Element-wise sum of two tensors of one shape.
struct Add {
  ActivationKind activation = ActivationKind::Identity;
};
/// Element-wise product; the second input may be [N, C, 1, 1] (squeeze-excite gate).
struct Multiply {};
/// Joins along channels.
struct Concat {};
/// Channels [begin, end).
struct ChannelSlice {
  int64_t begin = 0;
  int64_t end = 0;
};
/// ShuffleNet's shuffle: channel g * (C / groups) + i goes to i * groups + g.
struct ChannelShuffle {
  int64_t groups = 2;
};
struct MaxPool {
  int64_t kernel = 2;
  int64_t stride = 2;
  int64_t padding = 0;
};
/// Mean over the window; padded zeros are not counted.
struct AveragePool {
  int64_t kernel = 2;
  int64_t stride = 2;
  int64_t padding = 0;
};
/// [N, C, H, W] -> [N, C, 1, 1].
struct GlobalAveragePool {};
/// [N, ...] -> [N, product].
struct Flatten {};
/// y = x W^T + b on [N, in]; weight [out, in], bias [out].
struct Linear {
  int64_t out_features = 0;
  bool bias = true;
  ActivationKind activation = ActivationKind::Identity;
};
/// Bilinear resampling of the image to height x width (half-pixel centres, no antialias).
struct Resize {
  int64_t height = 0;
  int64_t width = 0;
};

using Operator =
    std::variant<Input, Conv2d, BatchNorm, Activation, Add, Multiply, Concat, ChannelSlice,
                 ChannelShuffle, MaxPool, AveragePool, GlobalAveragePool, Flatten, Linear, Resize>;

/// Returns the lower_snake_case operator name: "conv2d", "channel_shuffle", ...
const char* operator_name(const Operator& op);

/// One tensor of learned values that a node uses, in the fixed order of its operator: Conv2d and
/// Linear weight[, bias]; BatchNorm gamma, beta, mean, variance.
///
/// In a network lowered from a search space `name` names a *shared* tensor of the supernet, which
/// may be larger: this node uses the slice of `shape`, leading along channels and centred along the
/// two kernel dimensions. In a standalone network shape and tensor are the same.
struct Parameter {
  std::string name;
  Shape shape;
};

struct Node {
  NodeId id = 0;
  std::string name;  ///< unique in the network: "stage2.block0.depthwise.conv"
  Operator op;
  std::vector<NodeId> inputs;
  std::vector<Parameter> parameters;
  Shape shape;  ///< of the output
};

/// A torch-free, topologically ordered DAG of typed nodes with shapes: nodes only refer to earlier
/// nodes. Values are held apart, in Weights. Value type; concurrent reads are safe.
class Network {
 public:
  /// Adds the network's input of `shape` = [1, C, H, W]. A network has exactly one.
  NodeId add_input(const std::string& name, const Shape& shape);

  /// Adds a node and infers its shape. Parameter names default to `name`.weight, .bias, .gamma,
  /// .beta, .mean, .variance; `parameter_prefix` replaces `name` there, so that blocks of different
  /// choices can share a tensor. \throws InvariantError "conv2d stage2.depthwise: input [1, 16, 8,
  /// 8], groups 24: channels differ" for shapes that do not fit, an unknown input or a name used
  /// twice.
  NodeId add(const std::string& name, Operator op, const std::vector<NodeId>& inputs,
             const std::string& parameter_prefix = "");

  /// Marks the network's result. Default: the last node.
  void set_output(NodeId id);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const;
  NodeId input() const;
  NodeId output() const;
  const Shape& input_shape() const { return node(input()).shape; }
  const Shape& output_shape() const { return node(output()).shape; }
  /// How many nodes read each node's output (the network's result counts as one more use).
  std::vector<int> use_counts() const;
  bool empty() const { return nodes_.empty(); }

 private:
  std::vector<Node> nodes_;
  std::map<std::string, NodeId> by_name_;
  NodeId output_ = -1;
};

/// A dense float tensor on the host, row-major (NCHW, OIHW).
struct Tensor {
  Shape shape;
  std::vector<float> values;
};

/// Parameter values by Parameter::name.
using Weights = std::map<std::string, Tensor>;

/// A network with the values of all its parameters: what is exported, imported and measured.
struct Model {
  Network network;
  Weights weights;
  std::optional<Quantization> quantization = std::nullopt;  ///< set: an int8 model
  bool stand_in_weights = false;  ///< values came from lathe:random and stand for any others
};

/// \throws InvariantError naming the first parameter that is missing or whose shape differs.
void check_weights(const Network& network, const Weights& weights);

/// Returns He-normal convolution and linear weights, zero biases, gamma 1, beta 0, mean 0, variance
/// 1; each tensor depends only on `seed`, its name and its shape.
Weights random_weights(const Network& network, uint64_t seed);

}  // namespace lathe::network
