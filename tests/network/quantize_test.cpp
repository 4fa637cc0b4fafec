#include "network/quantize.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "network/architecture_json.h"
#include "network/passes.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"

namespace lathe::network {
namespace {

using test::message_of;

/// Two channels in, two out, one pixel: small enough to compute by hand.
Model small_model() {
  Model model;
  const NodeId image = model.network.add_input("image", {1, 2, 1, 1});
  Conv2d conv;
  conv.out_channels = 2;
  conv.bias = true;
  conv.activation = ActivationKind::Relu;
  model.network.add("conv", conv, {image});
  model.weights["conv.weight"] = {{2, 2, 1, 1}, {1.27F, -0.5F, 0.1F, 0.254F}};
  model.weights["conv.bias"] = {{2}, {0.5F, -0.013F}};
  return model;
}

const ValueRanges kSmallRanges = {{"image", {-1.28F, 1.27F}}, {"conv", {0.0F, 2.55F}}};

TEST_CASE("TensorScale rounds halves to even and saturates") {
  const TensorScale scale{0.5F, -3};
  CHECK(scale.quantize(0.0F) == -3);
  CHECK(scale.quantize(0.25F) == -3);
  CHECK(scale.quantize(0.75F) == -1);
  CHECK(scale.quantize(-1.25F) == -5);
  CHECK(scale.quantize(1000.0F) == 127);
  CHECK(scale.quantize(-1000.0F) == -128);
  CHECK(scale.dequantize(-1) == 1.0F);
}

TEST_CASE("quantize gives the scales and integers that one computes by hand") {
  const Model model = quantize(small_model(), kSmallRanges);
  REQUIRE(model.quantization);
  const TensorScale image = model.quantization->outputs.at("image");
  CHECK(image.scale == doctest::Approx(0.01));
  CHECK(image.zero_point == 0);
  const TensorScale conv = model.quantization->outputs.at("conv");
  CHECK(conv.scale == doctest::Approx(0.01));
  CHECK(conv.zero_point == -128);
  const std::vector<float>& scales = model.quantization->weights.at("conv.weight");
  REQUIRE(scales.size() == 2);
  CHECK(scales[0] == doctest::Approx(0.01));
  CHECK(scales[1] == doctest::Approx(0.002));
  CHECK(quantized_weight(model.weights.at("conv.weight"), scales) ==
        std::vector<int8_t>{127, -50, 50, 127});
  CHECK(quantized_bias(model.weights.at("conv.bias"), image.scale, scales) ==
        std::vector<int32_t>{5000, -650});
  CHECK(model.weights.at("conv.weight").values[1] == doctest::Approx(-0.5));
  CHECK(quantization_fault(model).empty());
}

TEST_CASE("Rounded weights are a fixed point: quantising them again changes nothing") {
  const Rng root(41);
  for (uint64_t i = 0; i < 30; ++i) {
    CAPTURE(i);
    const Model model = test::quantized_model(test::random_model(root.derive("model", i)),
                                              root.derive("images", i));
    for (const auto& [name, scales] : model.quantization->weights) {
      const Tensor& weight = model.weights.at(name);
      const std::vector<int8_t> integers = quantized_weight(weight, scales);
      const size_t per_channel = integers.size() / scales.size();
      for (size_t k = 0; k < integers.size(); ++k) {
        REQUIRE(weight.values[k] == static_cast<float>(integers[k]) * scales[k / per_channel]);
      }
    }
  }
}

TEST_CASE("quantizable gives activations that are no clamp a node and a scale of their own") {
  Model model;
  Network& net = model.network;
  const NodeId image = net.add_input("image", {1, 2, 4, 4});
  Conv2d conv;
  conv.out_channels = 2;
  const NodeId first = net.add("first", conv, {image});
  const NodeId norm = net.add("norm", BatchNorm{}, {first});
  const NodeId clamp = net.add("clamp", Activation{ActivationKind::Relu6}, {norm});
  conv.activation = ActivationKind::Swish;
  net.add("second", conv, {clamp});
  model.weights = random_weights(net, 1);
  const Model prepared = quantizable(model);
  std::string names;
  for (const Node& node : prepared.network.nodes()) names += node.name + " ";
  CHECK(names == "image first second second.activation ");
  CHECK(std::get<Conv2d>(prepared.network.nodes()[1].op).activation == ActivationKind::Relu6);
  CHECK(std::get<Conv2d>(prepared.network.nodes()[2].op).activation == ActivationKind::Identity);
  const Tensor input = test::random_tensor({1, 2, 4, 4}, Rng(3));
  CHECK(test::relative_difference(run_reference(model, input), run_reference(prepared, input)) <
        1e-5);
}

TEST_CASE("Tensors whose values are only moved share a scale") {
  Model model;
  Network& net = model.network;
  const NodeId image = net.add_input("image", {1, 2, 4, 4});
  Conv2d conv;
  conv.out_channels = 2;
  const NodeId a = net.add("a", conv, {image});
  const NodeId b = net.add("b", conv, {image});
  const NodeId joined = net.add("joined", Concat{}, {a, b});
  net.add("pool", MaxPool{2, 2, 0}, {joined});
  model.weights = random_weights(net, 1);
  const ValueRanges ranges = {
      {"image", {-1, 1}}, {"a", {-2, 1}}, {"b", {0, 3}}, {"joined", {-2, 3}}, {"pool", {-1, 3}}};
  const Model small = quantize(model, ranges);
  const auto& outputs = small.quantization->outputs;
  for (const char* name : {"a", "b", "pool"}) CHECK(outputs.at(name) == outputs.at("joined"));
  CHECK(outputs.at("joined").scale == doctest::Approx(5.0 / 255.0));
  CHECK(outputs.at("image") != outputs.at("joined"));
}

TEST_CASE("An int8 model computes about what the float model computes") {
  const Rng root(42);
  for (uint64_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    const Model model = test::random_model(root.derive("model", i), {8, 8, 6, true});
    const Model small = test::quantized_model(model, root.derive("images", i));
    Shape shape = model.network.input_shape();
    shape[0] = 2;
    const Tensor images = test::random_tensor(shape, root.derive("images", i));
    // Rounded weights alone: 8 bits.
    CHECK(test::relative_difference(run_reference(model, images), run_reference(small, images)) <
          0.1);
  }
}

TEST_CASE("Biases that are large beside their weights keep 32 bits") {
  Model model = small_model();
  model.weights["conv.weight"].values = {0.0F, 0.0F, 1e-7F, 1e-7F};
  model.weights["conv.bias"].values = {3.0F, -5000.0F};
  const Model small = quantize(model, kSmallRanges);
  const auto bias =
      quantized_bias(small.weights.at("conv.bias"), small.quantization->outputs.at("image").scale,
                     small.quantization->weights.at("conv.weight"));
  CHECK(std::abs(static_cast<double>(bias[1])) < 1.001 * (1 << 30));
  CHECK(small.weights.at("conv.bias").values[0] == doctest::Approx(3.0).epsilon(1e-3));
  CHECK(small.weights.at("conv.bias").values[1] == doctest::Approx(-5000.0).epsilon(1e-6));
}

TEST_CASE("Weights with a far value are clipped for the least squared error, others are not") {
  Tensor weight = test::random_tensor({2, 1, 20, 20}, Rng(9));
  weight.values[5] = 6.5F;  // of normal values
  for (size_t i = 400; i < 800; ++i) weight.values[i] = i % 2 == 0 ? 1.0F : -1.0F;
  const auto error = [&weight](float scale, size_t channel) {
    const std::vector<int8_t> integers = quantized_weight(weight, std::vector<float>(2, scale));
    double sum = 0.0;
    for (size_t i = channel * 400; i < (channel + 1) * 400; ++i) {
      const double difference =
          double{weight.values[i]} - double{scale} * static_cast<double>(integers[i]);
      sum += difference * difference;
    }
    return sum;
  };
  const std::vector<float> whole = weight_scales(weight, nullptr, 1.0F);
  const std::vector<float> clipped = weight_scales(weight, nullptr, 1.0F, WeightClipping::Mse);
  CHECK(clipped[1] == whole[1]);
  CHECK(error(clipped[0], 0) <= error(whole[0], 0));
  for (int i = 50; i <= 100; ++i) {
    CHECK(error(clipped[0], 0) <= 1.1 * error(whole[0] * static_cast<float>(i) / 100.0F, 0));
  }
}

TEST_CASE("What cannot be quantised is said") {
  CHECK(message_of<InvariantError>([] {
          quantize(small_model(), {{"image", {}}});
        }) == "quantize: conv2d conv: no range, expected one");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] {
          quantize(small_model(), {{"image", {}}, {"conv", {0.0F, nan}}});
        }) == "quantize: conv2d conv: range = 0.000000 to nan, expected finite numbers in order");
  Model fused = small_model();
  fused.network = {};
  Conv2d conv;
  conv.out_channels = 2;
  conv.bias = true;
  conv.activation = ActivationKind::HardSwish;
  fused.network.add("conv", conv, {fused.network.add_input("image", {1, 2, 1, 1})});
  CHECK(message_of<InvariantError>([&] { quantize(fused, kSmallRanges); }) ==
        "quantize: conv2d conv: activation hard_swish is part of it, expected a node of its own "
        "with a quantised input");
  const Model small = quantize(small_model(), kSmallRanges);
  CHECK(message_of<InvariantError>([&] { fold_batch_norm(small); }) ==
        "fold_batch_norm: the model is quantised, expected a float model");
  CHECK(message_of<InvariantError>([&] { fuse_activations(small); }) ==
        "fuse_activations: the model is quantised, expected a float model");
  CHECK(to_json(deploy(small).network) == to_json(small.network));
}

TEST_CASE("quantization_fault names what is missing") {
  CHECK(quantization_fault(small_model()) == "the model is not quantised");
  const auto fault = [](void (*change)(Quantization&)) {
    Model model = quantize(small_model(), kSmallRanges);
    change(*model.quantization);
    return quantization_fault(model);
  };
  CHECK(fault([](Quantization& q) { q.outputs.erase("conv"); }) ==
        "conv2d conv: its output is not quantised");
  CHECK(fault([](Quantization& q) { q.outputs["image"].scale = -1.0F; }) ==
        "input image: scale = -1.000000, expected a positive number");
  CHECK(fault([](Quantization& q) { q.outputs["image"].zero_point = 128; }) ==
        "input image: zero point = 128, expected -128 to 127");
  CHECK(fault([](Quantization& q) { q.outputs.erase("image"); }) ==
        "conv2d conv: its input image is not quantised");
  CHECK(fault([](Quantization& q) { q.weights.clear(); }).empty());  // a float island
  CHECK(fault([](Quantization& q) { q.weights["conv.weight"] = {1.0F}; }) ==
        "conv2d conv: weight conv.weight has 1 scales, expected 2");
  CHECK(fault([](Quantization& q) { q.weights["conv.weight"][1] = 0.0F; }) ==
        "conv2d conv: weight conv.weight: scale = 0.000000, expected a positive number");
}

}  // namespace
}  // namespace lathe::network
