#include <doctest/doctest.h>

#include "network/architecture_json.h"
#include "network/digest.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

void check_same(const Model& read, const Network& network, const Weights& weights) {
  // Everything: names, attributes, inputs, parameter names, shapes, output.
  CHECK(to_json(read.network) == to_json(network));
  CHECK(digest(read.network, DigestKind::Structure) == digest(network, DigestKind::Structure));
  REQUIRE(read.weights.size() == weights.size());
  for (const auto& [name, tensor] : weights) {
    const auto found = read.weights.find(name);
    REQUIRE(found != read.weights.end());
    CHECK(found->second.shape == tensor.shape);
    CHECK(found->second.values == tensor.values);
  }
}

/// The values that the network needs, without those of unused nodes.
Weights used_weights(const Network& network, const Weights& weights) {
  Weights used;
  for (const Node& node : network.nodes()) {
    for (const Parameter& parameter : node.parameters) {
      used[parameter.name] = weights.at(parameter.name);
    }
  }
  return used;
}

TEST_CASE("Random models survive ONNX, whole or deployed, with either kind of batch") {
  const Rng root(12);
  for (uint64_t i = 0; i < 300; ++i) {
    CAPTURE(i);
    const Model model = test::random_model(root.derive("onnx", i));
    for (const Model& each : {model, deploy(model)}) {
      OnnxExportOptions options;
      options.dynamic_batch = i % 2 == 1;
      const std::string bytes = to_onnx(each, options);
      CHECK_NOTHROW(check_onnx(bytes));
      const Network used = drop_unused(each.network);
      check_same(import_onnx(bytes), used, used_weights(used, each.weights));
    }
  }
}

TEST_CASE("Published networks survive ONNX") {
  for (const std::string& name : reference_network_names()) {
    CAPTURE(name);
    const Network network = reference_network(name, {64, 3, 10});
    const Model model{network, random_weights(network, 4)};
    for (const Model& each : {model, deploy(model)}) {
      const std::string bytes = to_onnx(each);
      CHECK_NOTHROW(check_onnx(bytes));
      check_same(import_onnx(bytes), each.network, each.weights);
    }
  }
}

TEST_CASE("A model without weights is a few kilobytes and gets the same random weights back") {
  const Network network = deploy(reference_network("mobilenet_v2"));
  const std::string bytes = to_onnx_without_weights(network, 1234567890123456789ULL);
  CHECK(bytes.size() < 40000);
  check_same(import_onnx(bytes), network, random_weights(network, 1234567890123456789ULL));
  const Rng root(13);
  for (uint64_t i = 0; i < 100; ++i) {
    CAPTURE(i);
    const Network random = drop_unused(test::random_network(root.derive("random", i)));
    check_same(import_onnx(to_onnx_without_weights(random, i)), random, random_weights(random, i));
  }
}

TEST_CASE("Export is the same at every call and carries name and metadata") {
  const Network network = deploy(reference_network("mobilenet_v2_0.35", {32, 3, 10}));
  const Model model{network, random_weights(network, 4)};
  OnnxExportOptions options;
  options.graph_name = "candidate 7";
  options.metadata = {{"lathe.architecture", "d2 w0.35"}};
  const std::string bytes = to_onnx(model, options);
  CHECK(bytes == to_onnx(model, options));
  CHECK(bytes.find("candidate 7") != std::string::npos);
  CHECK(bytes.find("lathe.architecture") != std::string::npos);
  CHECK(bytes.find("d2 w0.35") != std::string::npos);
  CHECK_NOTHROW(check_onnx(bytes));
}

TEST_CASE("Names that collide in ONNX's single space of names do not disturb the model") {
  Model model;
  NodeId id = model.network.add_input("logits", {1, 2, 4, 4});
  Conv2d conv;
  conv.out_channels = 2;
  conv.activation = ActivationKind::Relu6;
  id = model.network.add("a", conv, {id});
  id = model.network.add("a.weight", conv, {id});
  id = model.network.add("relu6/low", conv, {id});
  id = model.network.add("a/linear", conv, {id});
  id = model.network.add("a/activation.tail", Activation{ActivationKind::Swish}, {id});
  model.weights = random_weights(model.network, 3);
  const std::string bytes = to_onnx(model);
  CHECK_NOTHROW(check_onnx(bytes));
  check_same(import_onnx(bytes), model.network, model.weights);
}

TEST_CASE("A network that is only its input is an identity") {
  Model model;
  model.network.add_input("input", {1, 2, 4, 4});
  const std::string bytes = to_onnx(model);
  CHECK_NOTHROW(check_onnx(bytes));
  CHECK(import_onnx(bytes).network.nodes().size() == 1);
}

TEST_CASE("Export refuses what one file cannot hold") {
  Network network;
  const NodeId input = network.add_input("input", {1, 3, 8, 8});
  Conv2d conv;
  conv.out_channels = 4;
  const NodeId first = network.add("a", conv, {input}, "shared");
  conv.kernel = 3;
  conv.padding = 1;
  const NodeId second = network.add("b", conv, {input}, "shared");
  network.add("sum", Add{}, {first, second});
  CHECK(test::message_of<InvariantError>([&] { to_onnx_without_weights(network, 1); }) ==
        "onnx: parameter shared.weight has shapes [4, 3, 1, 1] and [4, 3, 3, 3], expected one "
        "(deploy separates shared tensors)");
  CHECK(test::message_of<InvariantError>([&] {
          to_onnx({network, {}});
        }) == "conv2d a: parameter shared.weight has no value");
}

TEST_CASE("check_onnx says what the checker says") {
  CHECK(test::message_of<DataError>([] { check_onnx("not a model"); }) ==
        "onnx checker: 11 bytes that are not an ONNX model");
  Network network;
  network.add("relu", Activation{}, {network.add_input("input", {1, 3, 8, 8})});
  std::string bytes = to_onnx({network, {}});
  bytes.replace(bytes.find("Relu"), 4, "Rule");
  const std::string message = test::message_of<DataError>([&] { check_onnx(bytes); });
  CHECK(message.find("onnx checker: ") == 0);
  CHECK(message.find("Rule") != std::string::npos);
}

}  // namespace
}  // namespace lathe::network
