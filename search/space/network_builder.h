#pragma once

#include <cstdint>
#include <string>

#include "network/network.h"

namespace lathe::search {

/// Returns `value` rounded to the nearest multiple of `divisor` (at least `divisor`), one step up
/// when that lost more than a tenth: the channel rounding of the MobileNet papers. Never decreases
/// as `value` grows, so a larger choice always contains a smaller one.
int64_t make_divisible(double value, int64_t divisor = 8);

struct ConvOptions {
  int64_t out_channels = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
  network::ActivationKind activation = network::ActivationKind::Identity;
};

struct SqueezeExciteOptions {
  int64_t hidden = 0;
  network::ActivationKind inner = network::ActivationKind::Relu;
  network::ActivationKind gate = network::ActivationKind::HardSigmoid;
};

/// Adds the usual groups of nodes to a network. Convolutions are padded by kernel / 2, have no bias
/// and are followed by a BatchNorm; activations are nodes of their own. Not thread-safe.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(double batch_norm_epsilon = 1e-5);

  network::NodeId input(const network::Shape& shape);
  int64_t channels(network::NodeId id) const;

  /// Nodes `name`.conv, `name`.bn and, unless the activation is Identity, `name`.act.
  network::NodeId conv_bn_act(const std::string& name, network::NodeId input,
                              const ConvOptions& options);
  /// The same with one filter a channel; out_channels and groups are ignored.
  network::NodeId depthwise_bn_act(const std::string& name, network::NodeId input,
                                   ConvOptions options);
  /// The input itself for Identity.
  network::NodeId activation(const std::string& name, network::NodeId input,
                             network::ActivationKind kind);
  /// Multiplies the channels by a gate computed from their means (Hu et al., 2018): `name`.reduce
  /// and `name`.expand are 1x1 convolutions with bias.
  network::NodeId squeeze_excite(const std::string& name, network::NodeId input,
                                 const SqueezeExciteOptions& options);
  network::NodeId add(const std::string& name, network::NodeId a, network::NodeId b);
  /// Any other operator.
  network::NodeId node(const std::string& name, network::Operator op,
                       const std::vector<network::NodeId>& inputs);

  /// Returns the network built so far; the builder is empty afterwards.
  network::Network take();

 private:
  network::Network network_;
  double batch_norm_epsilon_;
};

}  // namespace lathe::search
