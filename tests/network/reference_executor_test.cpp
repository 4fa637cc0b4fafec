#include <doctest/doctest.h>

#include <cmath>

#include "network/passes.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

using test::message_of;

/// Runs one operator with literal weights on literal inputs of one shape (a second input is the
/// first, doubled).
Tensor run(const Operator& op, const Tensor& input, const std::vector<std::vector<float>>& values,
           bool two_inputs = false) {
  Model model;
  Shape shape = input.shape;
  shape[0] = 1;
  const NodeId id = model.network.add_input("input", shape);
  std::vector<NodeId> inputs = {id};
  if (two_inputs) inputs.push_back(model.network.add("double", Add{}, {id, id}));
  model.network.add("node", op, inputs);
  const Node& node = model.network.nodes().back();
  REQUIRE(node.parameters.size() == values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    model.weights[node.parameters[i].name] = {node.parameters[i].shape, values[i]};
  }
  return run_reference(model, input);
}

void check_values(const Tensor& tensor, const Shape& shape, const std::vector<double>& expected) {
  CHECK(tensor.shape == shape);
  REQUIRE(tensor.values.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(double{tensor.values[i]} == doctest::Approx(expected[i]).epsilon(1e-6));
  }
}

const Tensor kImage{{1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}};
const Tensor kChannels{{1, 4, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8}};

TEST_CASE("run_reference convolves by cross-correlation with zero padding") {
  Conv2d op;
  op.out_channels = 1;
  op.kernel = 3;
  op.padding = 1;
  op.stride = 2;
  op.bias = true;
  const std::vector<float> weight = {0, 1, 0, 0, 10, 0, 0, 0, 100};
  check_values(run(op, kImage, {weight, {1000}}), {1, 1, 2, 2},
               {1000 + 10 + 500, 1000 + 30 + 0, 1000 + 70 + 4, 1000 + 90 + 6});
}

TEST_CASE("run_reference convolves groups apart") {
  Conv2d op;
  op.out_channels = 4;
  op.groups = 2;
  op.activation = ActivationKind::Relu6;
  const std::vector<float> weight = {1, 0, 0, 1, 1, 1, -1, 0};
  check_values(run(op, kChannels, {weight}), {1, 4, 1, 2}, {1, 2, 3, 4, 6, 6, 0, 0});
}

TEST_CASE("run_reference normalises") {
  const std::vector<std::vector<float>> values = {{2}, {1}, {5}, {4.0F - 1e-5F}};
  check_values(run(BatchNorm{}, kImage, values), {1, 1, 3, 3}, {-3, -2, -1, 0, 1, 2, 3, 4, 5});
}

TEST_CASE("run_reference applies every activation") {
  const Tensor input{{1, 1, 1, 6}, {-4, -1, 0, 1, 2, 7}};
  const auto check = [&](ActivationKind kind, double (*expected)(double)) {
    std::vector<double> values;
    for (const float x : input.values) values.push_back(expected(double{x}));
    check_values(run(Activation{kind}, input, {}), input.shape, values);
  };
  check(ActivationKind::Identity, [](double x) { return x; });
  check(ActivationKind::Relu, [](double x) { return x > 0 ? x : 0; });
  check(ActivationKind::Relu6, [](double x) { return x > 6 ? 6 : x > 0 ? x : 0; });
  check(ActivationKind::HardSwish, [](double x) {
    return x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6;
  });
  check(ActivationKind::Swish, [](double x) { return x / (1 + std::exp(-x)); });
  check(ActivationKind::HardSigmoid, [](double x) {
    return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6;
  });
  check(ActivationKind::Sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); });
}

TEST_CASE("run_reference adds, multiplies and joins") {
  const Tensor pair{{1, 1, 1, 2}, {-1, 3}};
  check_values(run(Add{}, pair, {}, true), {1, 1, 1, 2}, {-3, 9});
  check_values(run(Add{ActivationKind::Relu}, pair, {}, true), {1, 1, 1, 2}, {0, 9});
  check_values(run(Multiply{}, pair, {}, true), {1, 1, 1, 2}, {2, 18});
  const Tensor batch{{2, 1, 1, 2}, {1, 2, 3, 4}};
  check_values(run(Concat{}, batch, {}, true), {2, 2, 1, 2}, {1, 2, 2, 4, 3, 4, 6, 8});
}

TEST_CASE("run_reference multiplies by a gate of one value a channel") {
  Model model;
  const NodeId input = model.network.add_input("input", {1, 2, 1, 2});
  const NodeId gate = model.network.add("gate", GlobalAveragePool{}, {input});
  model.network.add("scaled", Multiply{}, {input, gate});
  check_values(run_reference(model, {{2, 2, 1, 2}, {1, 3, 5, 7, 0, 2, 4, 4}}), {2, 2, 1, 2},
               {2, 6, 30, 42, 0, 2, 16, 16});
}

TEST_CASE("run_reference slices and shuffles channels") {
  check_values(run(ChannelSlice{1, 3}, kChannels, {}), {1, 2, 1, 2}, {3, 4, 5, 6});
  check_values(run(ChannelShuffle{2}, kChannels, {}), {1, 4, 1, 2}, {1, 2, 5, 6, 3, 4, 7, 8});
  const Tensor six{{1, 6, 1, 1}, {0, 1, 2, 3, 4, 5}};
  check_values(run(ChannelShuffle{3}, six, {}), {1, 6, 1, 1}, {0, 2, 4, 1, 3, 5});
}

TEST_CASE("run_reference pools without counting the padding") {
  const Tensor negative{{1, 1, 3, 3}, {-1, -2, -3, -4, -5, -6, -7, -8, -9}};
  check_values(run(MaxPool{3, 2, 1}, negative, {}), {1, 1, 2, 2}, {-1, -2, -4, -5});
  check_values(run(AveragePool{3, 2, 1}, kImage, {}), {1, 1, 2, 2}, {3, 4, 6, 7});
  check_values(run(GlobalAveragePool{}, kImage, {}), {1, 1, 1, 1}, {5});
}

TEST_CASE("run_reference flattens and multiplies by a matrix") {
  check_values(run(Flatten{}, kChannels, {}), {1, 8}, {1, 2, 3, 4, 5, 6, 7, 8});
  Model model;
  NodeId id = model.network.add_input("input", {1, 2, 1, 1});
  id = model.network.add("flat", Flatten{}, {id});
  model.network.add("linear", Linear{3, true, ActivationKind::Relu}, {id});
  model.weights["linear.weight"] = {{3, 2}, {1, 2, 3, 4, -5, -6}};
  model.weights["linear.bias"] = {{3}, {100, 200, 0}};
  check_values(run_reference(model, {{2, 2, 1, 1}, {1, 10, 2, 20}}), {2, 3},
               {121, 243, 0, 142, 286, 0});
}

TEST_CASE("run_reference resizes with half-pixel centres and clamped edges") {
  const Tensor row{{1, 1, 1, 2}, {0, 4}};
  check_values(run(Resize{1, 4}, row, {}), {1, 1, 1, 4}, {0, 1, 3, 4});
  const Tensor four{{1, 1, 4, 1}, {0, 10, 20, 30}};
  check_values(run(Resize{2, 1}, four, {}), {1, 1, 2, 1}, {5, 25});
  check_values(run(Resize{1, 1}, four, {}), {1, 1, 1, 1}, {15});
}

TEST_CASE("run_reference refuses an input that does not fit") {
  Model model;
  model.network.add_input("input", {1, 2, 3, 3});
  CHECK(message_of<InvariantError>([&] {
          run_reference(model, {{1, 2, 3, 4}, {}});
        }) ==
        "run_reference: input [1, 2, 3, 4] of 0 values, expected [1, 2, 3, 3] with any batch");
  CHECK(message_of<InvariantError>([&] {
          run_reference(model, {{1, 2, 3, 3}, {1.0F}});
        }) ==
        "run_reference: input [1, 2, 3, 3] of 1 values, expected [1, 2, 3, 3] with any batch");
}

}  // namespace
}  // namespace lathe::network
