#include "network/network.h"

#include <doctest/doctest.h>

#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

using test::message_of;

/// What Network::add says about `op` called "x" on inputs of the given shapes (each an image or a
/// flat vector).
std::string message(const Operator& op, const std::vector<Shape>& inputs) {
  Network network;
  std::vector<NodeId> ids;
  const NodeId root = network.add_input("root", {1, 1, 64, 64});
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = "in" + std::to_string(i);
    const Shape& shape = inputs[i];
    NodeId id = network.add(
        name, Resize{shape.size() > 2 ? shape[2] : 1, shape.size() > 3 ? shape[3] : 1}, {root});
    Conv2d widen;
    widen.out_channels = shape[1];
    id = network.add(name + ".wide", widen, {id});
    if (shape.size() == 2) id = network.add(name + ".flat", Flatten{}, {id});
    REQUIRE(network.node(id).shape == shape);
    ids.push_back(id);
  }
  return message_of<InvariantError>([&] { network.add("x", op, ids); });
}

Conv2d conv(int64_t out, int64_t kernel, int64_t stride = 1, int64_t padding = 0,
            int64_t groups = 1) {
  Conv2d op;
  op.out_channels = out;
  op.kernel = kernel;
  op.stride = stride;
  op.padding = padding;
  op.groups = groups;
  return op;
}

TEST_CASE("Network::add names operator, node and what is wrong with a shape") {
  const Shape image = {1, 16, 8, 8};
  const Shape flat = {1, 10};
  struct Case {
    Operator op;
    std::vector<Shape> inputs;
    std::string message;
  };
  const std::vector<Case> cases = {
      {conv(24, 3, 1, 1, 24), {image}, "conv2d x: input [1, 16, 8, 8], groups 24: channels differ"},
      {conv(10, 3, 1, 1, 4), {image}, "conv2d x: out_channels 10, groups 4: not divisible"},
      {conv(0, 3), {image}, "conv2d x: out_channels 0, expected 1 to 2147483648"},
      {conv(8, 0), {image}, "conv2d x: kernel 0, expected 1 to 2147483648"},
      {conv(8, 3, 0), {image}, "conv2d x: stride 0, expected 1 to 2147483648"},
      {conv(8, 3, 1, -1), {image}, "conv2d x: padding -1, expected 0 to 2147483648"},
      {conv(8, 3, 1, 0, 0), {image}, "conv2d x: groups 0, expected 1 to 2147483648"},
      {conv(8, 11, 1, 1),
       {image},
       "conv2d x: input [1, 16, 8, 8], kernel 11, padding 1: the window is larger than the padded "
       "image"},
      {conv(8, 3), {flat}, "conv2d x: input [1, 10], expected [1, C, H, W]"},
      {conv(8, 3), {image, image}, "conv2d x: inputs 2, expected 1"},
      {conv(int64_t{1} << 31, 1),
       {image},
       "conv2d x: output [1, 2147483648, 8, 8], expected at most 2147483648 values"},
      {BatchNorm{0.0}, {image}, "batch_norm x: epsilon 0.000000, expected a positive number"},
      {BatchNorm{}, {flat}, "batch_norm x: input [1, 10], expected [1, C, H, W]"},
      {Activation{static_cast<ActivationKind>(99)},
       {image},
       "activation: kind = 99, expected a member of ActivationKind"},
      {Add{}, {image}, "add x: inputs 1, expected 2"},
      {Add{},
       {image, {1, 16, 4, 8}},
       "add x: inputs [1, 16, 8, 8] and [1, 16, 4, 8]: shapes differ"},
      {Multiply{},
       {{1, 16, 1, 1}, image},
       "multiply x: inputs [1, 16, 1, 1] and [1, 16, 8, 8]: shapes differ, expected equal shapes "
       "or a gate [1, C, 1, 1]"},
      {Concat{}, {image}, "concat x: inputs 1, expected at least 2"},
      {Concat{},
       {image, {1, 3, 8, 7}},
       "concat x: inputs [1, 16, 8, 8] and [1, 3, 8, 7]: height or width differ"},
      {Concat{}, {image, flat}, "concat x: input [1, 10], expected [1, C, H, W]"},
      {ChannelSlice{4, 17},
       {image},
       "channel_slice x: input [1, 16, 8, 8], channels [4, 17): out of range"},
      {ChannelSlice{4, 4},
       {image},
       "channel_slice x: input [1, 16, 8, 8], channels [4, 4): out of range"},
      {ChannelSlice{-1, 4},
       {image},
       "channel_slice x: input [1, 16, 8, 8], channels [-1, 4): out of range"},
      {ChannelShuffle{3},
       {image},
       "channel_shuffle x: input [1, 16, 8, 8], groups 3: channels not divisible"},
      {ChannelShuffle{0}, {image}, "channel_shuffle x: groups 0, expected 1 to 2147483648"},
      {MaxPool{2, 2, 2},
       {image},
       "max_pool x: kernel 2, padding 2: a window would lie outside the image"},
      {AveragePool{9, 1, 0},
       {image},
       "average_pool x: input [1, 16, 8, 8], kernel 9, padding 0: the window is larger than the "
       "padded image"},
      {GlobalAveragePool{}, {flat}, "global_average_pool x: input [1, 10], expected [1, C, H, W]"},
      {Flatten{}, {}, "flatten x: inputs 0, expected 1"},
      {Linear{5}, {image}, "linear x: input [1, 16, 8, 8], expected [1, features]"},
      {Linear{0}, {flat}, "linear x: out_features 0, expected 1 to 2147483648"},
      {Resize{0, 4}, {image}, "resize x: height 0, expected 1 to 2147483648"},
      {Resize{4, -2}, {image}, "resize x: width -2, expected 1 to 2147483648"},
      {Resize{1 << 20, 1 << 20},
       {image},
       "resize x: output [1, 16, 1048576, 1048576], expected at most 2147483648 values"},
      {Input{}, {image}, "input x: cannot follow another node, use add_input"},
  };
  for (const Case& each : cases) CHECK(message(each.op, each.inputs) == each.message);
}

TEST_CASE("Network::add infers output and parameter shapes") {
  Network network;
  const NodeId input = network.add_input("input", {1, 6, 7, 10});
  const auto shape_of = [&](const Operator& op, const std::vector<NodeId>& inputs) {
    const std::string name = "n" + std::to_string(network.nodes().size());
    return network.node(network.add(name, op, inputs)).shape;
  };
  CHECK(shape_of(conv(4, 3, 2, 1, 2), {input}) == Shape{1, 4, 4, 5});
  CHECK(network.nodes().back().parameters[0].shape == Shape{4, 3, 3, 3});
  CHECK(network.nodes().back().parameters.size() == 1);
  CHECK(shape_of(MaxPool{3, 2, 1}, {input}) == Shape{1, 6, 4, 5});
  CHECK(shape_of(AveragePool{2, 2, 0}, {input}) == Shape{1, 6, 3, 5});
  CHECK(shape_of(Concat{}, {input, input, input}) == Shape{1, 18, 7, 10});
  CHECK(shape_of(ChannelSlice{1, 5}, {input}) == Shape{1, 4, 7, 10});
  CHECK(shape_of(ChannelShuffle{3}, {input}) == Shape{1, 6, 7, 10});
  CHECK(shape_of(Resize{3, 30}, {input}) == Shape{1, 6, 3, 30});
  CHECK(shape_of(Flatten{}, {input}) == Shape{1, 420});
  CHECK(shape_of(Linear{11}, {network.output()}) == Shape{1, 11});
  CHECK(network.nodes().back().parameters[0].shape == Shape{11, 420});
  CHECK(network.nodes().back().parameters[1].shape == Shape{11});
  CHECK(shape_of(GlobalAveragePool{}, {input}) == Shape{1, 6, 1, 1});
  CHECK(shape_of(Multiply{}, {input, network.output()}) == Shape{1, 6, 7, 10});
  CHECK(shape_of(BatchNorm{}, {input}) == Shape{1, 6, 7, 10});
  const std::vector<Parameter>& norm = network.nodes().back().parameters;
  REQUIRE(norm.size() == 4);
  CHECK(norm[3].shape == Shape{6});
}

TEST_CASE("Parameters are named after the node or after the prefix that is given") {
  Network network;
  const NodeId input = network.add_input("input", {1, 2, 4, 4});
  Conv2d op = conv(2, 1);
  op.bias = true;
  network.add("own", op, {input});
  network.add("shared", op, {input}, "stage1.k3");
  network.add("norm", BatchNorm{}, {input});
  CHECK(network.node(1).parameters[0].name == "own.weight");
  CHECK(network.node(1).parameters[1].name == "own.bias");
  CHECK(network.node(2).parameters[0].name == "stage1.k3.weight");
  const std::vector<Parameter>& norm = network.node(3).parameters;
  CHECK(norm[0].name == "norm.gamma");
  CHECK(norm[1].name == "norm.beta");
  CHECK(norm[2].name == "norm.mean");
  CHECK(norm[3].name == "norm.variance");
}

TEST_CASE("Network refuses broken graphs") {
  Network network;
  CHECK(message_of<InvariantError>([&] { network.input(); }) ==
        "network: no input, expected add_input first");
  CHECK(message_of<InvariantError>([&] { network.output(); }) ==
        "network: no output, expected at least an input");
  CHECK(message_of<InvariantError>([&] {
          network.add_input("input", {2, 3, 8, 8});
        }) == "input input: shape [2, 3, 8, 8], expected [1, C, H, W] with positive dimensions");
  CHECK(message_of<InvariantError>([&] {
          network.add_input("input", {1, 3, 0, 8});
        }) == "input input: shape [1, 3, 0, 8], expected [1, C, H, W] with positive dimensions");
  CHECK(message_of<InvariantError>([&] { network.add("relu", Activation{}, {0}); }) ==
        "activation relu: input node 0, expected one of the 0 earlier nodes");
  const NodeId input = network.add_input("input", {1, 3, 8, 8});
  CHECK(message_of<InvariantError>([&] {
          network.add_input("again", {1, 3, 8, 8});
        }) == "input again: the network has nodes, expected one input before all");
  network.add("relu", Activation{}, {input});
  CHECK(message_of<InvariantError>([&] { network.add("relu", Flatten{}, {input}); }) ==
        "flatten relu: the name is taken by node 1, expected a new name");
  CHECK(message_of<InvariantError>([&] { network.add("next", Flatten{}, {2}); }) ==
        "flatten next: input node 2, expected one of the 2 earlier nodes");
  CHECK(message_of<InvariantError>([&] { network.add("next", Flatten{}, {-1}); }) ==
        "flatten next: input node -1, expected one of the 2 earlier nodes");
  CHECK(message_of<InvariantError>([&] { network.set_output(7); }) ==
        "network: node 7, expected one of the 2 nodes");
  CHECK(network.nodes().size() == 2);  // nothing was added by what failed
}

TEST_CASE("The output is the last node until it is set") {
  Network network;
  const NodeId input = network.add_input("input", {1, 3, 8, 8});
  CHECK(network.output() == input);
  const NodeId first = network.add("first", Activation{}, {input});
  CHECK(network.output() == first);
  network.set_output(first);
  network.add("second", Flatten{}, {first});
  CHECK(network.output() == first);
  CHECK(network.output_shape() == Shape{1, 3, 8, 8});
  CHECK(network.use_counts() == std::vector<int>{1, 2, 0});
}

TEST_CASE("Activation names are stable and read back") {
  const std::vector<std::string> names = {"identity", "relu",         "relu6",  "hard_swish",
                                          "swish",    "hard_sigmoid", "sigmoid", "negated_relu"};
  for (size_t i = 0; i < names.size(); ++i) {
    const auto kind = static_cast<ActivationKind>(i);
    CHECK(to_string(kind) == names[i]);
    CHECK(activation_from_string(names[i]) == kind);
  }
  CHECK(message_of<ConfigError>([] { activation_from_string("gelu"); }) ==
        "activation = gelu, expected one of identity, relu, relu6, hard_swish, swish, "
        "hard_sigmoid, sigmoid, negated_relu");
}

TEST_CASE("Shapes print and count") {
  CHECK(to_string(Shape{1, 16, 28, 28}) == "[1, 16, 28, 28]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(element_count({2, 3, 4}) == 24);
  CHECK(element_count({}) == 1);
}

}  // namespace
}  // namespace lathe::network
