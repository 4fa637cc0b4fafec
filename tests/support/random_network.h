#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "network/network.h"

namespace lathe::test {

struct RandomNetworkOptions {
  int64_t nodes = 14;        ///< random nodes before the classifier
  int64_t resolution = 9;    ///< largest height and width of the input
  int64_t max_channels = 8;  ///< of convolutions
  bool fused_activations = true;
  bool grouped = false;  ///< convolutions with any number of groups, not one or one a channel alone
};

/// Draws valid networks of every operator: branches, gates, shared parameter prefixes, nodes that
/// nobody reads. Ends in pooling, flattening and a linear layer, or in an image.
class RandomNetworkBuilder {
 public:
  RandomNetworkBuilder(Rng& rng, RandomNetworkOptions options) : rng_(rng), options_(options) {}

  network::Network build() {
    const network::Shape shape = {1, rng_.integer(1, 4), rng_.integer(3, options_.resolution),
                                  rng_.integer(3, options_.resolution)};
    images_ = {network_.add_input("input", shape)};
    while (static_cast<int64_t>(network_.nodes().size()) < options_.nodes) step();
    if (rng_.bernoulli(0.1)) return std::move(network_);
    const network::NodeId pooled = add("pool", network::GlobalAveragePool{}, {images_.back()});
    const network::NodeId flat = add("flatten", network::Flatten{}, {pooled});
    add("classifier", network::Linear{rng_.integer(1, 6), rng_.bernoulli(0.7), fused()}, {flat});
    return std::move(network_);
  }

 private:
  using NodeId = network::NodeId;

  void step() {
    const NodeId at = rng_.bernoulli(0.7) ? images_.back() : rng_.choose(images_);
    switch (rng_.below(12)) {
      case 0:
      case 1:
      case 2:
        return conv(at);
      case 3:
        return image(network::BatchNorm{rng_.bernoulli(0.5) ? 1e-5 : 1e-3}, {at});
      case 4:
        return image(network::Activation{activation()}, {at});
      case 5:
        return sum(at);
      case 6:
        return gate(at);
      case 7:
        return concat(at);
      case 8:
        return slice(at);
      case 9:
        return shuffle(at);
      case 10:
        return pool(at);
      default:
        return image(network::Resize{rng_.integer(1, options_.resolution),
                                     rng_.integer(1, options_.resolution)},
                     {at});
    }
  }

  void conv(NodeId at) {
    const network::Shape& shape = shape_of(at);
    network::Conv2d op;
    op.groups = rng_.bernoulli(0.3) ? shape[1] : 1;
    if (options_.grouped && rng_.bernoulli(0.5)) op.groups = rng_.choose(divisors_of(shape[1]));
    op.out_channels =
        op.groups * rng_.integer(1, std::max<int64_t>(1, options_.max_channels / op.groups));
    op.padding = rng_.integer(0, 2);
    op.kernel =
        rng_.integer(1, std::min<int64_t>(5, 2 * op.padding + std::min(shape[2], shape[3])));
    op.stride = rng_.integer(1, 2);
    op.bias = rng_.bernoulli(0.4);
    op.activation = fused();
    image(op, {at});
  }

  void sum(NodeId at) {
    std::vector<NodeId> same;
    for (const NodeId id : images_) {
      if (shape_of(id) == shape_of(at)) same.push_back(id);
    }
    image(network::Add{fused()}, {at, rng_.choose(same)});
  }

  void gate(NodeId at) {
    const int64_t channels = shape_of(at)[1];
    network::Conv2d op;
    op.out_channels = channels;
    op.bias = true;
    const NodeId pooled = add(name("gate.pool"), network::GlobalAveragePool{}, {at});
    const NodeId mixed = add(name("gate.conv"), op, {pooled});
    const auto kind = rng_.bernoulli(0.5) ? network::ActivationKind::Sigmoid
                                          : network::ActivationKind::HardSigmoid;
    const NodeId opened = add(name("gate.sigmoid"), network::Activation{kind}, {mixed});
    image(network::Multiply{}, {at, opened});
  }

  void concat(NodeId at) {
    std::vector<NodeId> inputs = {at};
    for (const NodeId id : images_) {
      const bool fits = shape_of(id)[2] == shape_of(at)[2] && shape_of(id)[3] == shape_of(at)[3];
      if (fits && inputs.size() < 3 && rng_.bernoulli(0.5)) inputs.push_back(id);
    }
    if (inputs.size() < 2) inputs.push_back(at);
    image(network::Concat{}, inputs);
  }

  void slice(NodeId at) {
    const int64_t begin = rng_.integer(0, shape_of(at)[1] - 1);
    image(network::ChannelSlice{begin, rng_.integer(begin + 1, shape_of(at)[1])}, {at});
  }

  void shuffle(NodeId at) {
    image(network::ChannelShuffle{rng_.choose(divisors_of(shape_of(at)[1]))}, {at});
  }

  static std::vector<int64_t> divisors_of(int64_t number) {
    std::vector<int64_t> divisors;
    for (int64_t divisor = 1; divisor <= number; ++divisor) {
      if (number % divisor == 0) divisors.push_back(divisor);
    }
    return divisors;
  }

  void pool(NodeId at) {
    const int64_t smallest = std::min(shape_of(at)[2], shape_of(at)[3]);
    const int64_t padding = rng_.integer(0, 1);
    const int64_t kernel = std::min<int64_t>(rng_.integer(padding + 1, 3), smallest + 2 * padding);
    const int64_t stride = rng_.integer(1, 2);
    if (rng_.bernoulli(0.5)) return image(network::MaxPool{kernel, stride, padding}, {at});
    image(network::AveragePool{kernel, stride, padding}, {at});
  }

  void image(network::Operator op, const std::vector<NodeId>& inputs) {
    const std::string unique = name(network::operator_name(op));
    const std::string prefix = rng_.bernoulli(0.2) ? "shared." + unique : "";
    images_.push_back(network_.add(unique, std::move(op), inputs, prefix));
  }
  NodeId add(const std::string& unique, network::Operator op, const std::vector<NodeId>& inputs) {
    return network_.add(unique, std::move(op), inputs);
  }
  std::string name(const std::string& base) const {
    return base + std::to_string(network_.nodes().size());
  }
  const network::Shape& shape_of(NodeId id) const { return network_.node(id).shape; }

  network::ActivationKind activation() {
    using Kind = network::ActivationKind;
    return rng_.choose(std::vector<Kind>{Kind::Relu, Kind::Relu6, Kind::HardSwish, Kind::Swish,
                                         Kind::HardSigmoid, Kind::Sigmoid, Kind::NegatedRelu});
  }
  network::ActivationKind fused() {
    const bool plain = !options_.fused_activations || rng_.bernoulli(0.6);
    return plain ? network::ActivationKind::Identity : activation();
  }

  Rng& rng_;
  RandomNetworkOptions options_;
  network::Network network_;
  std::vector<NodeId> images_;
};

/// Returns a random network; the same for the same stream.
inline network::Network random_network(Rng rng, const RandomNetworkOptions& options = {}) {
  return RandomNetworkBuilder(rng, options).build();
}

/// Returns values as after training: biases and normalisation statistics are not their initial
/// ones.
inline network::Weights trained_looking_weights(const network::Network& network, Rng rng) {
  network::Weights weights = network::random_weights(network, rng.seed());
  for (const network::Node& node : network.nodes()) {
    const bool norm = std::holds_alternative<network::BatchNorm>(node.op);
    for (size_t i = 0; i < node.parameters.size(); ++i) {
      if (!norm && i == 0) continue;
      const bool positive = norm && (i == 0 || i == 3);
      for (float& value : weights.at(node.parameters[i].name).values) {
        value = static_cast<float>(positive ? rng.uniform(0.5, 2.0) : 0.3 * rng.normal());
      }
    }
  }
  return weights;
}

/// Returns a model of random_network and trained_looking_weights.
inline network::Model random_model(const Rng& rng, const RandomNetworkOptions& options = {}) {
  network::Network network = random_network(rng.derive("network"), options);
  network::Weights weights = trained_looking_weights(network, rng.derive("weights"));
  return {std::move(network), std::move(weights)};
}

/// Returns standard normal values.
inline network::Tensor random_tensor(const network::Shape& shape, Rng rng) {
  network::Tensor tensor{shape, {}};
  tensor.values.resize(static_cast<size_t>(network::element_count(shape)));
  for (float& value : tensor.values) value = static_cast<float>(rng.normal());
  return tensor;
}

/// Returns the largest absolute difference over the largest magnitude (at least 1); infinity if a
/// value is not finite.
inline double relative_difference(const network::Tensor& a, const network::Tensor& b) {
  if (a.shape != b.shape) return 1e9;
  double largest = 1.0;
  double difference = 0.0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, std::abs(double{a.values[i]}));
    const double here = std::abs(double{a.values[i]} - double{b.values[i]});
    if (!std::isfinite(here)) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, here);
  }
  return difference / largest;
}

}  // namespace lathe::test
