#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "network/onnx.h"
#include "network/onnx_runtime_check.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "tests/network/onnx_text.h"
#include "tests/support/integer_executor.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

namespace lathe::network {
namespace {

using test::message_of;

constexpr double kTolerance = 1e-4;

/// Sets an environment variable for one scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = ::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { before_.empty() ? ::unsetenv(name_) : ::setenv(name_, before_.c_str(), 1); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::string before_;
};

/// A network with every operator and activation in it, small enough to be compared often.
Model every_operator() {
  Model model;
  Network& network = model.network;
  NodeId id = network.add_input("input", {1, 3, 11, 13});
  Conv2d conv;
  conv.out_channels = 8;
  conv.kernel = 3;
  conv.padding = 1;
  const auto then = [&](const std::string& name, const Operator& op) {
    return id = network.add(name, op, {id});
  };
  int index = 0;
  for (const ActivationKind kind :
       {ActivationKind::Relu, ActivationKind::Relu6, ActivationKind::HardSwish,
        ActivationKind::Swish, ActivationKind::HardSigmoid, ActivationKind::Sigmoid,
        ActivationKind::NegatedRelu}) {
    const std::string name = "layer" + std::to_string(index++);
    conv.activation = kind;
    conv.bias = index % 2 == 0;
    then(name, conv);
    const NodeId norm = then(name + ".norm", BatchNorm{1e-3});
    const NodeId act = then(name + ".act", Activation{kind});
    id = network.add(name + ".sum", Add{kind}, {norm, act});
    conv.groups = conv.groups == 1 ? 4 : 1;
  }
  const NodeId pooled = then("se.pool", GlobalAveragePool{});
  Conv2d mix;
  mix.out_channels = 8;
  mix.bias = true;
  mix.activation = ActivationKind::Sigmoid;
  const NodeId gate = then("se.mix", mix);
  id = network.add("se", Multiply{}, {network.node(pooled).inputs[0], gate});
  then("shuffle", ChannelShuffle{4});
  const NodeId left = network.add("left", ChannelSlice{0, 3}, {id});
  const NodeId right = network.add("right", ChannelSlice{3, 8}, {id});
  id = network.add("join", Concat{}, {right, left});
  then("larger", Resize{17, 16});
  then("smaller", Resize{9, 10});
  then("max", MaxPool{3, 2, 1});
  then("average", AveragePool{3, 1, 1});
  then("flat", Flatten{});
  then("linear", Linear{7, true, ActivationKind::HardSwish});
  then("last", Linear{5, false});
  model.weights = test::trained_looking_weights(network, Rng(3));
  return model;
}

double difference(const Model& model, const std::string& bytes, int64_t batch, const Rng& rng) {
  Shape shape = model.network.input_shape();
  shape[0] = batch;
  const Tensor input = test::random_tensor(shape, rng);
  return test::relative_difference(run_reference(model, input),
                                   run_with_onnx_runtime(bytes, input));
}

TEST_CASE("ONNX Runtime computes what run_reference computes, for every operator") {
  const Model model = every_operator();
  OnnxExportOptions dynamic;
  dynamic.dynamic_batch = true;
  for (const Model& each : {model, deploy(model)}) {
    CHECK(difference(each, to_onnx(each), 2, Rng(1)) < kTolerance);
    CHECK(difference(each, to_onnx(each, dynamic), 3, Rng(2)) < kTolerance);
  }
}

TEST_CASE("ONNX Runtime agrees on random models") {
  const Rng root(21);
  for (uint64_t i = 0; i < 10; ++i) {
    CAPTURE(i);
    const Model model = test::random_model(root.derive("parity", i), {30, 16, 8, true});
    OnnxExportOptions options;
    options.dynamic_batch = i % 2 == 1;
    const Model& each = i % 4 < 2 ? model : deploy(model);
    CHECK(difference(each, to_onnx(each, options), 2, root.derive("input", i)) < kTolerance);
  }
}

TEST_CASE("ONNX Runtime agrees on published networks") {
  for (const char* name : {"mobilenet_v2_0.35", "shufflenet_v2", "efficientnet_b0"}) {
    CAPTURE(std::string(name));
    const Network network = deploy(reference_network(name, {32, 3, 10}));
    const Model model{network, random_weights(network, 4)};
    CHECK(difference(model, to_onnx(model), 1, Rng(5)) < kTolerance);
  }
}

/// The largest class of each image of [N, classes].
std::vector<size_t> top_classes(const std::vector<float>& logits, size_t images) {
  const size_t classes = logits.size() / images;
  std::vector<size_t> top;
  for (size_t i = 0; i < images; ++i) {
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(i * classes);
    const auto end = begin + static_cast<std::ptrdiff_t>(classes);
    top.push_back(static_cast<size_t>(std::max_element(begin, end) - begin));
  }
  return top;
}

TEST_CASE("ONNX Runtime and exact integers agree on exported int8 networks") {
  for (const char* name : {"mobilenet_v2_0.35", "shufflenet_v2", "efficientnet_b0", "resnet18"}) {
    CAPTURE(std::string(name));
    const Network network = reference_network(name, {32, 3, 10});
    const Model model =
        test::quantized_model({network, test::trained_looking_weights(network, Rng(4))}, Rng(4));
    constexpr size_t kImages = 10;
    const Tensor images = test::random_tensor({kImages, 3, 32, 32}, Rng(5));
    OnnxExportOptions options;
    options.dynamic_batch = true;
    const Tensor theirs = run_with_onnx_runtime(to_onnx(model, options), images);
    std::vector<float> ours;
    for (size_t i = 0; i < kImages; ++i) {
      const auto first = images.values.begin() + static_cast<std::ptrdiff_t>(i * 3 * 32 * 32);
      const Tensor image{{1, 3, 32, 32}, {first, first + 3 * 32 * 32}};
      const auto outputs = test::run_integers(model, image);
      const TensorScale scale = model.quantization->outputs.at(model.network.nodes().back().name);
      for (const int8_t value : outputs.back().values) ours.push_back(scale.dequantize(value));
    }
    const float step = model.quantization->outputs.at(model.network.nodes().back().name).scale;
    REQUIRE(ours.size() == theirs.values.size());
    size_t moving = 0;  // or agreement would mean nothing
    for (size_t i = 10; i < ours.size(); ++i) moving += ours[i] != ours[i - 10] ? 1 : 0;
    CHECK(moving > ours.size() / 2);
    float largest = 0.0F;
    for (size_t i = 0; i < ours.size(); ++i) {
      largest = std::max(largest, std::abs(ours[i] - theirs.values[i]) / step);
    }
    MESSAGE(std::string(name), ": at most ", largest, " steps of 255");
    CHECK(largest < 8.0F);
    const std::vector<size_t> our_top = top_classes(ours, kImages);
    const std::vector<size_t> their_top = top_classes(theirs.values, kImages);
    size_t same = 0;
    for (size_t i = 0; i < kImages; ++i) same += our_top[i] == their_top[i] ? 1 : 0;
    CHECK(same >= kImages - 1);
  }
}

TEST_CASE("ONNX Runtime agrees with what import makes of other exporters' files") {
  for (const test::OnnxSpelling& spelling : test::onnx_spellings()) {
    CAPTURE(spelling.name);
    CHECK(difference(import_onnx(spelling.bytes), spelling.bytes, 1, Rng(9)) < kTolerance);
  }
}

TEST_CASE("What is missing or wrong is said") {
  Network network;
  network.add("relu", Activation{}, {network.add_input("input", {1, 1, 2, 2})});
  const std::string bytes = to_onnx({network, {}});
  const Tensor input{{1, 1, 2, 2}, {-1, 2, -3, 4}};
  const std::string install =
      " (scripts/install.sh installs it, or set LATHE_NODE_MODULES to a node_modules folder that "
      "has onnxruntime-node)";
  CHECK(run_with_onnx_runtime(bytes, input).values == std::vector<float>{0, 2, 0, 4});
  CHECK(message_of<DataError>([&] {
          run_with_onnx_runtime(bytes, input, {60.0, "no-such-node"});
        }) == "onnx runtime: cannot start no-such-node: No such file or directory" + install);
  {
    const test::TemporaryFolder empty;
    const ScopedVariable modules("LATHE_NODE_MODULES", empty.path().string());
    const std::string message = message_of<DataError>([&] { run_with_onnx_runtime(bytes, input); });
    CHECK(message ==
          "onnx runtime: onnxruntime-node cannot be loaded: Cannot find module "
          "'onnxruntime-node'" +
              install);
  }
  CHECK(message_of<DataError>([&] { run_with_onnx_runtime("not a model", input); }) ==
        "onnx runtime: the model cannot be parsed");
  std::string unknown = bytes;
  unknown.replace(unknown.find("Relu"), 4, "Rule");
  const std::string refused = message_of<DataError>([&] { run_with_onnx_runtime(unknown, input); });
  CHECK(refused.find("onnx runtime: ") == 0);
  CHECK(refused.find("Rule") != std::string::npos);
  const std::string two_at_once = test::onnx_from_text(
      "ir_version: 8 opset_import { version: 17 } graph { input { name: 'x' type { tensor_type { "
      "shape { dim { dim_value: 2 } } } } } }");
  CHECK(message_of<DataError>([&] {
          run_with_onnx_runtime(two_at_once, {{3, 1}, {0, 0, 0}});
        }) == "onnx runtime: batch 3, expected a multiple of the model's 2");
  CHECK(message_of<DataError>([&] {
          run_with_onnx_runtime(bytes, {{1, 1, 2, 3}, {0, 0, 0, 0, 0, 0}});
        }).find("invalid dimensions") != std::string::npos);
  CHECK(message_of<InvariantError>([&] {
          run_with_onnx_runtime(bytes, {{1, 1, 2, 2}, {0}});
        }) == "onnx runtime: input [1, 1, 2, 2] of 1 values");
}

TEST_CASE("A runtime that does not end is stopped") {
  Network network;
  network.add("relu", Activation{}, {network.add_input("input", {1, 1, 2, 2})});
  CHECK(message_of<DataError>([&] {
          run_with_onnx_runtime(to_onnx({network, {}}), {{1, 1, 2, 2}, {0, 0, 0, 0}},
                                {0.05, LATHE_SOURCE_DIR "/tests/support/endless.sh"});
        }) == "onnx runtime: " LATHE_SOURCE_DIR
              "/tests/support/endless.sh did not end within 0.05 s");
}

}  // namespace
}  // namespace lathe::network
