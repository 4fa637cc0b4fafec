#include "network/pruning/prune.h"

#include <doctest/doctest.h>

#include "network/cost.h"
#include "network/digest.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/quantize.h"
#include "network/reference_networks.h"
#include "tests/support/forced_zero.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

Conv2d conv(int64_t out, int64_t groups = 1) {
  Conv2d op;
  op.out_channels = out;
  op.groups = groups;
  return op;
}

Model numbered(const Network& network) {
  Model model{network, random_weights(network, 1)};
  for (auto& [name, tensor] : model.weights) {
    float next = 0.0F;
    for (float& value : tensor.values) value = next++;
  }
  return model;
}

std::vector<float> values(const Model& model, const std::string& name) {
  return model.weights.at(name).values;
}

/// What pruning must keep: exactly what is computed with the channels forced to zero.
void check_exact(const Model& model, const std::vector<Channel>& removed, const Rng& rng) {
  const Model pruned = prune(model, removed);
  check_weights(pruned.network, pruned.weights);
  CHECK(pruned.network.output_shape() == model.network.output_shape());
  CHECK(digest(prune(model.network, removed), DigestKind::Computation) ==
        digest(pruned.network, DigestKind::Computation));
  Shape shape = model.network.input_shape();
  shape[0] = 2;
  const Tensor input = test::random_tensor(shape, rng.derive("input"));
  const Tensor expected = test::run_with_zeros(model, input, removed);
  CHECK(test::relative_difference(run_reference(pruned, input), expected) == 0.0);
}

TEST_CASE("A pruned convolution loses its rows, its reader the columns") {
  Network network;
  NodeId id = network.add_input("x", {1, 2, 1, 1});
  Conv2d first = conv(3);
  first.bias = true;
  id = network.add("a", first, {id});
  id = network.add("b", BatchNorm{}, {id});
  network.add("last", conv(2), {id});
  const Model pruned = prune(numbered(network), {{2, 1}});
  CHECK(values(pruned, "a.weight") == std::vector<float>{0, 1, 4, 5});
  CHECK(values(pruned, "a.bias") == std::vector<float>{0, 2});
  CHECK(values(pruned, "b.variance") == std::vector<float>{0, 2});
  CHECK(values(pruned, "last.weight") == std::vector<float>{0, 2, 3, 5});
  CHECK(pruned.weights.at("last.weight").shape == Shape{2, 2, 1, 1});
}

TEST_CASE("A depthwise convolution loses groups, one with wider groups keeps them") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 1, 1});
  id = network.add("a", conv(4), {id});
  id = network.add("d", conv(8, 4), {id});
  id = network.add("g", conv(4, 2), {id});
  network.add("last", conv(1), {id});
  const Model model = numbered(network);
  // d 0 and 1 come from a 0; g ties its inputs 0 and 4, 1 and 5: a 0 and a 2 go.
  Model pruned = prune(model, {{1, 0}});
  CHECK(pruned.network.node(2).shape == Shape{1, 4, 1, 1});
  CHECK(std::get<Conv2d>(pruned.network.node(2).op).groups == 2);
  CHECK(values(pruned, "d.weight") == std::vector<float>{2, 3, 6, 7});
  CHECK(std::get<Conv2d>(pruned.network.node(3).op).groups == 2);
  CHECK(values(pruned, "g.weight") == std::vector<float>{2, 3, 6, 7, 10, 11, 14, 15});
  pruned = prune(model, {{3, 3}});  // and with it 1
  CHECK(values(pruned, "g.weight") == std::vector<float>{0, 1, 2, 3, 8, 9, 10, 11});
  CHECK(values(pruned, "last.weight") == std::vector<float>{0, 2});
}

TEST_CASE("Slices keep what they cut of what is left") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 1, 1});
  const NodeId a = network.add("a", conv(6), {id});
  const NodeId slice = network.add("s", ChannelSlice{2, 5}, {a});
  network.add("last", conv(1), {slice});
  const Model pruned = prune(numbered(network), {{a, 0}, {slice, 1}, {a, 5}});
  const auto& op = std::get<ChannelSlice>(pruned.network.node(slice).op);
  CHECK(op.begin == 1);
  CHECK(op.end == 3);
  CHECK(values(pruned, "a.weight") == std::vector<float>{1, 2, 4});
  CHECK(values(pruned, "last.weight") == std::vector<float>{0, 2});
}

TEST_CASE("A linear layer loses all pixels of a flattened channel") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 1, 2});
  id = network.add("a", conv(2), {id});
  id = network.add("f", Flatten{}, {id});
  network.add("last", Linear{2}, {id});
  const Model pruned = prune(numbered(network), {{1, 0}});
  CHECK(values(pruned, "last.weight") == std::vector<float>{2, 3, 6, 7});
  CHECK(values(pruned, "last.bias") == std::vector<float>{0, 1});
}

TEST_CASE("Nodes that shared a tensor have one each afterwards") {
  Network network;
  NodeId id = network.add_input("x", {1, 2, 4, 4});
  id = network.add("a", conv(2), {id}, "shared");
  id = network.add("b", conv(2), {id}, "shared");
  network.add("last", conv(1), {id});
  const Model pruned = prune(numbered(network), {{1, 0}});
  CHECK(values(pruned, "a.weight") == std::vector<float>{2, 3});
  CHECK(values(pruned, "b.weight") == std::vector<float>{1, 3});
}

TEST_CASE("prune refuses what cannot go, and says why") {
  Network network;
  NodeId id = network.add_input("x", {1, 2, 4, 4});
  id = network.add("a", conv(3), {id});
  network.add("last", conv(2), {id});
  const Model model = numbered(network);
  const auto message = [&](const std::vector<Channel>& removed) {
    return test::message_of<InvariantError>([&] { prune(model, removed); });
  };
  CHECK(message({{1, 3}}) == "prune: conv2d a: channel 3, expected 0 to 2");
  CHECK(message({{1, -1}}) == "prune: conv2d a: channel -1, expected 0 to 2");
  CHECK(message({{0, 1}}) ==
        "prune: input x: channel 1 is tied to the network's input or result, expected a free one");
  CHECK(message({{2, 0}}) ==
        "prune: conv2d last: channel 0 is tied to the network's input or result, expected a free "
        "one");
  CHECK(message({{1, 0}, {1, 1}, {1, 2}}) ==
        "prune: conv2d a: all 3 channels are removed, expected one to stay");
  CHECK(message({{7, 0}}) == "network: node 7, expected one of the 3 nodes");
  Model incomplete = model;
  incomplete.weights.erase("a.weight");
  CHECK(test::message_of<InvariantError>([&] { prune(incomplete, {}); }) ==
        "conv2d a: parameter a.weight has no value");
  const Model integers = quantize_nominally(quantizable(model));
  CHECK(test::message_of<InvariantError>([&] { prune(integers, {}); }) ==
        "prune: the model is quantised, expected a float model");
}

TEST_CASE("With nothing to remove a model stays as it is") {
  const Network network = reference_network("shufflenet_v2", {32, 3, 10});
  CHECK(digest(prune(network, {}), DigestKind::Computation) ==
        digest(network, DigestKind::Computation));
}

TEST_CASE("Random removals from random networks are exact and survive ONNX") {
  const Rng root(22);
  int pruned_networks = 0;
  for (uint64_t i = 0; i < 600; ++i) {
    CAPTURE(i);
    const Rng rng = root.derive("prune", i);
    test::RandomNetworkOptions options;
    options.nodes = 8 + static_cast<int64_t>(i % 12);
    options.grouped = i % 2 == 1;
    options.max_channels = i % 3 == 0 ? 24 : 8;
    const Model model = test::random_model(rng, options);
    const auto removed = test::random_removal(find_channel_groups(model.network), rng);
    pruned_networks += removed.empty() ? 0 : 1;
    check_exact(model, removed, rng);
    const Model pruned = prune(model, removed);
    const std::string bytes = to_onnx(pruned);
    CHECK_NOTHROW(check_onnx(bytes));
    CHECK(digest(import_onnx(bytes).network, DigestKind::Computation) ==
          digest(pruned.network, DigestKind::Computation));
  }
  CHECK(pruned_networks > 300);
}

TEST_CASE("Random removals from published networks are exact and make them smaller") {
  const Rng root(23);
  for (const std::string& name : reference_network_names()) {
    CAPTURE(name);
    const Network network = reference_network(name, {32, 3, 10});
    const Model model{network, test::trained_looking_weights(network, root.derive(name))};
    const auto removed = test::random_removal(find_channel_groups(network), root.derive(name, 1));
    REQUIRE_FALSE(removed.empty());
    check_exact(model, removed, root.derive(name, 2));
    CHECK(cost(prune(network, removed)).macs < cost(network).macs);
  }
}

}  // namespace
}  // namespace lathe::network
