#include <doctest/doctest.h>

#include <cmath>

#include "network/passes.h"
#include "network/quantize.h"
#include "network/quantized_executor.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"

namespace lathe::network {
namespace {

using test::message_of;

/// image -> stem -> depthwise -> project, + a shortcut, -> mean -> flat -> head.
Model residual_model() {
  Model model;
  Network& net = model.network;
  const NodeId image = net.add_input("image", {1, 3, 6, 6});
  Conv2d conv;
  conv.out_channels = 4;
  conv.bias = true;
  conv.activation = ActivationKind::Relu;
  const NodeId stem = net.add("stem", conv, {image});
  Conv2d depthwise = conv;
  depthwise.kernel = 3;
  depthwise.padding = 1;
  depthwise.groups = 4;
  const NodeId middle = net.add("depthwise", depthwise, {stem});
  conv.activation = ActivationKind::Identity;
  const NodeId project = net.add("project", conv, {middle});
  const NodeId sum = net.add("sum", Add{}, {stem, project});
  const NodeId mean = net.add("mean", GlobalAveragePool{}, {sum});
  const NodeId flat = net.add("flat", Flatten{}, {mean});
  net.add("head", Linear{5, true}, {flat});
  model.weights = test::trained_looking_weights(net, Rng(3));
  return model;
}

std::string floats_of(const std::set<std::string>& layers) {
  const Model model = residual_model();
  const std::vector<bool> is_float = float_tensors(model.network, layers);
  std::string names;
  for (const Node& node : model.network.nodes()) {
    if (is_float[static_cast<size_t>(node.id)]) names += node.name + " ";
  }
  return names;
}

Model mixed(const std::set<std::string>& layers) {
  Model model = residual_model();
  QuantizeOptions options;
  options.float_layers = layers;
  const Tensor images = test::random_tensor({4, 3, 6, 6}, Rng(4));
  const ValueRanges ranges = observe_ranges(model, images);
  return quantize(std::move(model), ranges, options);
}

TEST_CASE("Tensors stay float where float layers alone touch them") {
  CHECK(floats_of({}).empty());
  CHECK(floats_of({"stem"}) == "image ");   // the sum reads the stem's integers
  CHECK(floats_of({"depthwise"}).empty());  // rounded on both sides
  CHECK(floats_of({"depthwise", "project"}) == "depthwise ");
  CHECK(floats_of({"head"}) == "head ");
  CHECK(floats_of({"project", "stem", "head"}) == "image project sum mean flat head ");
  CHECK(floats_of({"stem", "depthwise", "project", "head"}) ==
        "image stem depthwise project sum mean flat head ");
}

TEST_CASE("A float layer keeps its values, an int8 layer has integers on both sides") {
  const Model original = residual_model();
  const Model model = mixed({"depthwise"});
  CHECK(quantization_fault(model).empty());
  CHECK(model.weights.at("depthwise.weight").values ==
        original.weights.at("depthwise.weight").values);
  CHECK(model.quantization->weights.count("depthwise.weight") == 0);
  CHECK(model.quantization->weights.count("stem.weight") == 1);
  CHECK(float_nodes(model.network, *model.quantization) == std::vector<std::string>{"depthwise"});
}

TEST_CASE("With all layers float the outputs are the float network's") {
  const Tensor images = test::random_tensor({4, 3, 6, 6}, Rng(4));
  const Tensor exact = run_reference(residual_model(), images);
  const auto error = [&](const std::set<std::string>& layers) {
    return test::relative_difference(run_quantized(mixed(layers), images), exact);
  };
  CHECK(error({}) > 1e-3);
  CHECK(error({}) < 0.1);
  CHECK(error({"stem", "depthwise", "project"}) < 0.1);
  CHECK(error({"stem", "depthwise", "project", "head"}) < 1e-6);
}

TEST_CASE("run_quantized takes batches and says what it cannot run") {
  const Model model = mixed({});
  const Tensor images = test::random_tensor({4, 3, 6, 6}, Rng(5));
  const Tensor all = run_quantized(model, images);
  for (size_t n = 0; n < 4; ++n) {
    const auto first = images.values.begin() + static_cast<std::ptrdiff_t>(n * 108);
    const Tensor one = run_quantized(model, {{1, 3, 6, 6}, {first, first + 108}});
    const auto begin = all.values.begin() + static_cast<std::ptrdiff_t>(n * 5);
    CHECK(one.values == std::vector<float>(begin, begin + 5));
  }
  CHECK(message_of<InvariantError>([&] { run_quantized(residual_model(), images); }) ==
        "run_quantized: the model is not quantised");
  CHECK(message_of<InvariantError>([&] {
          run_quantized(model, {{1, 3, 6, 5}, {}});
        }) ==
        "run_quantized: input [1, 3, 6, 5] of 0 values, expected [1, 3, 6, 6] with any batch");
  CHECK(message_of<InvariantError>([] { mixed({"sum"}); }) ==
        "quantize: float layer = sum, expected the name of a conv2d or linear node");
}

TEST_CASE("Given scales are taken, and must fit") {
  Model model = residual_model();
  const ValueRanges ranges = observe_ranges(model, test::random_tensor({1, 3, 6, 6}, Rng(4)));
  QuantizeOptions options;
  options.weight_scales["stem.weight"] = {0.5F, 0.25F, 0.5F, 1.0F};
  const Model given = quantize(model, ranges, options);
  CHECK(given.quantization->weights.at("stem.weight") == options.weight_scales.at("stem.weight"));
  for (const float value : given.weights.at("stem.weight").values) {
    CHECK(value == 0.25F * std::nearbyint(4.0F * value));
  }
  options.weight_scales["stem.weight"] = {0.5F};
  CHECK(message_of<InvariantError>([&] { quantize(model, ranges, options); }) ==
        "quantize: stem: given scales = 1, expected 4");
}

}  // namespace
}  // namespace lathe::network
