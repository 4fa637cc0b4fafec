#include <doctest/doctest.h>

#include <cmath>

#include "core/statistics.h"
#include "network/network.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

using test::message_of;

Network small_network() {
  Network network;
  NodeId id = network.add_input("input", {1, 3, 8, 8});
  Conv2d conv;
  conv.out_channels = 64;
  conv.kernel = 5;
  conv.bias = true;
  id = network.add("conv", conv, {id});
  id = network.add("norm", BatchNorm{}, {id});
  id = network.add("flat", Flatten{}, {id});
  network.add("linear", Linear{10}, {id});
  return network;
}

TEST_CASE("random_weights fills every parameter as documented") {
  const Network network = small_network();
  const Weights weights = random_weights(network, 7);
  check_weights(network, weights);
  CHECK(weights.size() == 8);
  for (const char* zero : {"conv.bias", "norm.beta", "norm.mean", "linear.bias"}) {
    for (const float value : weights.at(zero).values) CHECK(value == 0.0F);
  }
  for (const char* one : {"norm.gamma", "norm.variance"}) {
    for (const float value : weights.at(one).values) CHECK(value == 1.0F);
  }
  const std::vector<float>& values = weights.at("conv.weight").values;
  const std::vector<double> sample(values.begin(), values.end());
  const double expected = std::sqrt(2.0 / 75.0);  // fan-in 3 * 5 * 5; 4800 values
  CHECK(std::abs(mean(sample)) < 4.0 * expected / std::sqrt(4800.0));
  CHECK(std::abs(standard_deviation(sample) / expected - 1.0) < 4.0 / std::sqrt(2.0 * 4800.0));
}

TEST_CASE("A random tensor depends on seed, name and shape, on nothing else of the network") {
  const Network network = small_network();
  const Weights weights = random_weights(network, 7);
  CHECK(random_weights(network, 7).at("conv.weight").values == weights.at("conv.weight").values);
  CHECK(random_weights(network, 8).at("conv.weight").values != weights.at("conv.weight").values);

  Network other;
  const NodeId input = other.add_input("picture", {1, 3, 20, 20});
  Conv2d conv;
  conv.out_channels = 64;
  conv.kernel = 5;
  other.add("second", conv, {input}, "conv");
  const Weights same = random_weights(other, 7);
  CHECK(same.at("conv.weight").values == weights.at("conv.weight").values);
  conv.out_channels = 32;
  Network smaller;
  smaller.add("conv", conv, {smaller.add_input("input", {1, 3, 8, 8})});
  const float first = random_weights(smaller, 7).at("conv.weight").values[0];
  CHECK(first != weights.at("conv.weight").values[0]);
}

TEST_CASE("random_weights refuses one name with two shapes") {
  Network network;
  const NodeId input = network.add_input("input", {1, 3, 8, 8});
  Conv2d conv;
  conv.out_channels = 4;
  network.add("a", conv, {input}, "shared");
  conv.out_channels = 5;
  network.add("b", conv, {input}, "shared");
  CHECK(message_of<InvariantError>([&] { random_weights(network, 1); }) ==
        "conv2d b: parameter shared.weight has shape [5, 3, 1, 1], another node gives it [4, 3, 1, "
        "1]");
}

TEST_CASE("check_weights names the first parameter that does not fit") {
  const Network network = small_network();
  const Weights good = random_weights(network, 1);
  Weights weights = good;
  weights.erase("norm.mean");
  CHECK(message_of<InvariantError>([&] { check_weights(network, weights); }) ==
        "batch_norm norm: parameter norm.mean has no value");
  weights = good;
  weights["conv.weight"].shape = {64, 3, 25};
  CHECK(message_of<InvariantError>([&] { check_weights(network, weights); }) ==
        "conv2d conv: parameter conv.weight has shape [64, 3, 25], expected [64, 3, 5, 5]");
  weights = good;
  weights["linear.bias"].values.pop_back();
  CHECK(message_of<InvariantError>([&] { check_weights(network, weights); }) ==
        "linear linear: parameter linear.bias has 9 values, expected [10]");
}

}  // namespace
}  // namespace lathe::network
