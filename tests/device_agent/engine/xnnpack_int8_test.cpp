#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "network/passes.h"
#include "network/quantize.h"
#include "network/reference_networks.h"
#include "tests/device_agent/engine/engine_checks.h"
#include "tests/device_agent/engine/random_graph.h"

using namespace lathe;
using namespace lathe::device;
using lathe::device::testing::conv;
using lathe::device::testing::Differences;
using lathe::device::testing::lively_model;
using lathe::device::testing::single;
using namespace lathe::network;

namespace {

/// The whole network must give the same result as its parts, wherever its tensors lie.
void check_every_node(const Model& model, const Tensor& image, Differences& differences,
                      int threads = 1) {
  const auto engine = make_xnnpack_engine();
  std::vector<test::IntegerTensor> outputs;
  differences.add(testing::check_every_node(*engine, model, image, outputs, threads));
  CHECK(testing::run_int8(*engine, model, image, threads).values ==
        outputs[static_cast<size_t>(model.network.output())].values);
}

Differences check_operator(const Shape& shape, const Operator& op, uint64_t seed) {
  return testing::check_operator(*make_xnnpack_engine(), shape, op, seed);
}

}  // namespace

TEST_CASE("int8 convolutions are those of the definition to the last step") {
  for (const int64_t kernel : {1, 3, 5, 7}) {
    for (const int64_t stride : {1, 2}) {
      CAPTURE(kernel);
      CAPTURE(stride);
      for (const ActivationKind kind :
           {ActivationKind::Identity, ActivationKind::Relu, ActivationKind::Relu6}) {
        for (Conv2d op : {conv(10, kernel, stride, 1), conv(6, kernel, stride, 6),
                          conv(12, kernel, stride, 6), conv(9, kernel, stride, 3)}) {
          op.activation = kind;
          const Differences differences = check_operator({1, 6, 9, 8}, op, 1);
          CHECK(differences.equal == differences.values);
        }
      }
    }
  }
}

TEST_CASE("int8 activations are exact, whatever the scales") {
  for (int kind = 0; kind <= 6; ++kind) {
    CAPTURE(kind);
    const Activation op{static_cast<ActivationKind>(kind)};
    const Differences differences = check_operator({1, 5, 7, 6}, op, 2);
    CHECK(differences.equal == differences.values);
  }
}

TEST_CASE("int8 operators without weights are within one step and mostly exact") {
  const std::vector<Operator> operators = {
      MaxPool{3, 2, 1},     MaxPool{2, 2, 0},     AveragePool{3, 1, 1},
      AveragePool{2, 2, 0}, AveragePool{1, 2, 0}, GlobalAveragePool{},
      ChannelShuffle{3},    ChannelSlice{1, 4},   Flatten{},
      BatchNorm{}};
  for (const Operator& op : operators) {
    CAPTURE(std::string(operator_name(op)));
    for (uint64_t seed = 0; seed < 5; ++seed) {
      CHECK(check_operator({1, 6, 9, 8}, op, seed).equal_share() > 0.97);
    }
  }
  // Its fixed-point weights have 11 bits.
  CHECK(check_operator({1, 6, 9, 8}, Resize{13, 5}, 3).equal_share() > 0.9);
}

TEST_CASE("An int8 linear layer reads a flattened image in the network's order") {
  for (const bool flatten_is_read : {false, true}) {
    Network net;
    const NodeId image = net.add_input("image", {1, 3, 4, 5});
    const NodeId flat = net.add("flat", Flatten{}, {image});
    const NodeId head = net.add("head", Linear{60, true}, {flat});
    if (flatten_is_read) net.add("sum", Add{ActivationKind::Relu}, {head, flat});
    const Model model = test::quantized_model(lively_model(net, 5), Rng(5));
    Differences differences;
    check_every_node(model, test::random_tensor({1, 3, 4, 5}, Rng(6)), differences);
    CHECK(differences.equal_share() > 0.97);
  }
}

TEST_CASE("An int8 concatenation brings its parts to one scale") {
  Network net;
  const NodeId image = net.add_input("image", {1, 4, 5, 3});
  const NodeId a = net.add("a", conv(3, 1, 1, 1), {image});
  const NodeId b = net.add("b", conv(2, 3, 1, 1), {image});
  const NodeId joined = net.add("joined", Concat{}, {a, image, b, a});
  net.add("part", ChannelSlice{2, 8}, {joined});
  Model model = test::quantized_model(lively_model(net, 5), Rng(5));
  auto& outputs = model.quantization->outputs;
  CHECK(outputs.at("a") == outputs.at("image"));
  Differences same;
  check_every_node(model, test::random_tensor({1, 4, 5, 3}, Rng(6)), same);
  CHECK(same.equal == same.values);
  outputs["image"].scale *= 0.7F;
  outputs["joined"].zero_point = 11;
  outputs["part"].scale *= 1.3F;
  Differences different;
  check_every_node(model, test::random_tensor({1, 4, 5, 3}, Rng(6)), different);
  CHECK(different.equal_share() > 0.97);
}

TEST_CASE("Random int8 graphs are within one step of the definition at every node") {
  Differences differences;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const Network net = drop_unused(testing::random_graph(seed, 12));
    const Model model = test::quantized_model(lively_model(net, seed), Rng(seed));
    check_every_node(model, test::random_tensor(net.input_shape(), Rng(seed + 7)), differences,
                     seed % 3 == 0 ? 2 : 1);
  }
  CHECK(differences.equal_share() > 0.98);
  MESSAGE("equal: ", differences.equal_share(), " of ", differences.values);
}

TEST_CASE("Weights that stand for any run in int8 for their time alone") {
  const Network net = deploy(reference_network("efficientnet_b0", {32, 3, 10}));
  Model model{net, random_weights(net, 3)};
  model.stand_in_weights = true;
  const auto engine = make_xnnpack_engine();
  const auto runnable = engine->prepare(model, {1, latency::Precision::Int8});
  CHECK_NOTHROW(runnable->run());
  const std::string refusal =
      "xnnpack: the model has no weights and no scales, so that its int8 outputs mean nothing; "
      "expected a quantised model (QDQ) to run on images";
  const std::vector<float> image(3 * 32 * 32);
  CHECK_THROWS_WITH_AS(runnable->write_input(image), refusal.c_str(), EngineError);
  CHECK_THROWS_WITH_AS(runnable->read_output(), refusal.c_str(), EngineError);
  const auto floats = engine->prepare(model, {1, latency::Precision::Fp32});
  CHECK(runnable->activation_bytes() < 0.4 * static_cast<double>(floats->activation_bytes()));
}

TEST_CASE("Nominal scales do the work of real ones: the same kernels in the same order") {
  for (const char* name : {"mobilenet_v2_0.35", "shufflenet_v2", "efficientnet_b0", "resnet18"}) {
    CAPTURE(std::string(name));
    const Network net = reference_network(name, {32, 3, 10});
    Model model{net, random_weights(net, 3)};
    model.stand_in_weights = true;
    const auto engine = make_xnnpack_engine();
    const auto nominal = engine->prepare(model, {1, latency::Precision::Int8});
    Model real = quantizable(model);
    Rng rng(4);
    ValueRanges ranges;
    for (const Node& node : real.network.nodes()) {
      ranges[node.name] = {static_cast<float>(rng.uniform(-5.0, 0.0)),
                           static_cast<float>(rng.uniform(1.0, 5.0))};
    }
    real = quantize(std::move(real), ranges);
    const auto measured = engine->prepare(real, {1, latency::Precision::Int8});
    std::string kernels[2];
    for (const OperatorInfo& op : nominal->operators()) kernels[0] += op.op + " ";
    for (const OperatorInfo& op : measured->operators()) kernels[1] += op.op + " ";
    CHECK(kernels[0] == kernels[1]);
    CHECK(kernels[0].find("quantize") == std::string::npos);
  }
}

TEST_CASE("A quantised model runs in fp32, too: on the floats that its integers stand for") {
  const Network net = reference_network("mobilenet_v2_0.35", {32, 3, 10});
  const Model model = test::quantized_model(lively_model(net, 5), Rng(5));
  const Tensor image = test::random_tensor({1, 3, 32, 32}, Rng(6));
  const auto runnable = make_xnnpack_engine()->prepare(model, {1, latency::Precision::Fp32});
  runnable->write_input(image.values);
  runnable->run();
  const Tensor expected = run_reference(model, image);
  CHECK(test::relative_difference({expected.shape, runnable->read_output()}, expected) < 1e-4);
}

TEST_CASE("A model that is quantised in part is refused in int8 by the name of the node") {
  const Network net = reference_network("mobilenet_v2_0.35", {32, 3, 10});
  Model model = test::quantized_model(lively_model(net, 5), Rng(5));
  model.quantization->outputs.erase(model.network.nodes()[3].name);
  const std::string message = "xnnpack: precision = int8, but " +
                              std::string(operator_name(model.network.nodes()[3].op)) + " " +
                              model.network.nodes()[3].name +
                              ": its output is not quantised, expected a quantised model (QDQ), or "
                              "one without weights";
  CHECK_THROWS_WITH_AS(make_xnnpack_engine()->prepare(model, {1, latency::Precision::Int8}),
                       message.c_str(), EngineError);
}
