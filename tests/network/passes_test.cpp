#include "network/passes.h"

#include <doctest/doctest.h>

#include "network/digest.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

constexpr double kTolerance = 1e-5;

Conv2d conv(int64_t out, bool bias = false) {
  Conv2d op;
  op.out_channels = out;
  op.kernel = 3;
  op.padding = 1;
  op.bias = bias;
  return op;
}

int count(const Network& network, const std::string& op) {
  int result = 0;
  for (const Node& node : network.nodes()) result += operator_name(node.op) == op ? 1 : 0;
  return result;
}

double difference(const Model& a, const Model& b, const Rng& rng) {
  Shape shape = a.network.input_shape();
  shape[0] = 2;
  const Tensor input = test::random_tensor(shape, rng.derive("input"));
  return test::relative_difference(run_reference(a, input), run_reference(b, input));
}

TEST_CASE("fold_batch_norm computes the folded weights by hand") {
  Model model;
  const NodeId input = model.network.add_input("input", {1, 1, 1, 1});
  Conv2d op;
  op.out_channels = 2;
  op.bias = true;
  const NodeId layer = model.network.add("conv", op, {input}, "shared");
  model.network.add("norm", BatchNorm{1e-3}, {layer});
  model.weights["shared.weight"] = {{2, 1, 1, 1}, {3, 5}};
  model.weights["shared.bias"] = {{2}, {1, 2}};
  model.weights["norm.gamma"] = {{2}, {2, 4}};
  model.weights["norm.beta"] = {{2}, {10, 20}};
  model.weights["norm.mean"] = {{2}, {0.5, 1}};
  model.weights["norm.variance"] = {{2}, {3.999F, 15.999F}};
  const Model folded = fold_batch_norm(model);
  REQUIRE(folded.network.nodes().size() == 2);
  CHECK(folded.network.nodes()[1].parameters[0].name == "conv.weight");
  CHECK(folded.weights.size() == 2);
  CHECK(folded.weights.at("conv.weight").values[0] == doctest::Approx(3));
  CHECK(folded.weights.at("conv.weight").values[1] == doctest::Approx(5));
  CHECK(folded.weights.at("conv.bias").values[0] == doctest::Approx(10.5));
  CHECK(folded.weights.at("conv.bias").values[1] == doctest::Approx(21));
}

TEST_CASE("fold_batch_norm folds only what nobody else reads") {
  Network network;
  const NodeId input = network.add_input("input", {1, 3, 6, 6});
  const NodeId first = network.add("first", conv(4), {input});
  const NodeId norm = network.add("norm", BatchNorm{}, {first});   // folds
  const NodeId again = network.add("again", BatchNorm{}, {norm});  // follows no convolution
  const NodeId second = network.add("second", conv(4), {again});
  const NodeId kept = network.add("kept", BatchNorm{}, {second});  // second is read below, too
  network.add("sum", Add{}, {kept, second});
  const Network deployed = deploy(network);
  CHECK(count(deployed, "batch_norm") == 2);
  CHECK(std::get<Conv2d>(deployed.node(1).op).bias);
  CHECK_FALSE(std::get<Conv2d>(deployed.node(3).op).bias);

  Network result;
  const NodeId shown = result.add("shown", conv(4), {result.add_input("input", {1, 3, 6, 6})});
  result.add("norm", BatchNorm{}, {shown});
  result.set_output(shown);  // the convolution itself is the result
  CHECK(count(fold_batch_norm({result, random_weights(result, 1)}).network, "batch_norm") == 1);

  Network activated;
  Conv2d relu = conv(4);
  relu.activation = ActivationKind::Relu;
  const NodeId before = activated.add("conv", relu, {activated.add_input("input", {1, 3, 6, 6})});
  activated.add("norm", BatchNorm{}, {before});  // comes after the activation
  CHECK(count(deploy(activated), "batch_norm") == 1);
}

TEST_CASE("Convolutions that shared a tensor get one each when their normalisations differ") {
  Model model;
  NodeId id = model.network.add_input("input", {1, 4, 6, 6});
  id = model.network.add("a", conv(4), {id}, "shared");
  id = model.network.add("a.norm", BatchNorm{}, {id});
  id = model.network.add("b", conv(4), {id}, "shared");
  model.network.add("b.norm", BatchNorm{}, {id});
  model.weights = test::trained_looking_weights(model.network, Rng(5));
  const Model deployed = deploy(model);
  check_weights(deployed.network, deployed.weights);
  CHECK(deployed.weights.at("a.weight").values != deployed.weights.at("b.weight").values);
  CHECK(difference(model, deployed, Rng(6)) < kTolerance);
}

TEST_CASE("fuse_activations moves an activation only into what it alone reads") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 6, 6});
  const NodeId first = network.add("first", conv(4), {input});
  const NodeId relu = network.add("relu", Activation{ActivationKind::Relu6}, {first});
  const NodeId sum = network.add("sum", Add{}, {relu, input});
  const NodeId swish = network.add("swish", Activation{ActivationKind::Swish}, {sum});
  const NodeId twice = network.add("twice", Activation{ActivationKind::Relu}, {swish});
  const NodeId pool = network.add("pool", GlobalAveragePool{}, {twice});
  const NodeId sigmoid = network.add("sigmoid", Activation{ActivationKind::Sigmoid}, {pool});
  const NodeId flat = network.add("flat", Flatten{}, {sigmoid});
  const NodeId linear = network.add("linear", Linear{3}, {flat});
  network.add("last", Activation{ActivationKind::HardSwish}, {linear});
  const Model model{network, random_weights(network, 2)};
  const Model fused = fuse_activations(model);
  CHECK(count(fused.network, "activation") == 2);  // after swish, and after pooling
  CHECK(std::get<Conv2d>(fused.network.node(1).op).activation == ActivationKind::Relu6);
  CHECK(std::get<Add>(fused.network.node(2).op).activation == ActivationKind::Swish);
  CHECK(std::get<Linear>(fused.network.nodes().back().op).activation == ActivationKind::HardSwish);
  CHECK(fused.weights.size() == model.weights.size());
  CHECK(difference(model, fused, Rng(1)) == 0.0);
}

TEST_CASE("drop_unused keeps the input and what the output needs") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 6, 6});
  const NodeId used = network.add("used", conv(4), {input});
  network.add("unused", conv(8), {used});
  network.set_output(used);
  const Network dropped = drop_unused(network);
  CHECK(dropped.nodes().size() == 2);
  CHECK(dropped.output() == used);
  network.set_output(input);
  CHECK(drop_unused(network).nodes().size() == 1);
}

TEST_CASE("A missing parameter is refused before anything is computed") {
  Model model;
  model.network.add("conv", conv(4), {model.network.add_input("input", {1, 4, 6, 6})});
  CHECK(test::message_of<InvariantError>([&] { fold_batch_norm(model); }) ==
        "conv2d conv: parameter conv.weight has no value");
}

TEST_CASE("Every pass keeps what random networks compute") {
  const Rng root(11);
  for (uint64_t i = 0; i < 200; ++i) {
    const Rng rng = root.derive("passes", i);
    const Model model = test::random_model(rng);
    CAPTURE(i);
    CHECK(difference(model, fold_batch_norm(model), rng) < kTolerance);
    CHECK(difference(model, fuse_activations(model), rng) < kTolerance);
    const Model deployed = deploy(model);
    CHECK(difference(model, deployed, rng) < kTolerance);
    check_weights(deployed.network, deployed.weights);
    const Network alone = deploy(model.network);
    for (const DigestKind kind : {DigestKind::Computation, DigestKind::Structure}) {
      CHECK(digest(alone, kind) == digest(deployed.network, kind));
      CHECK(digest(deploy(alone), kind) == digest(alone, kind));
    }
  }
}

}  // namespace
}  // namespace lathe::network
