#include "network/equalize.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "network/bias_correction.h"
#include "network/passes.h"
#include "network/quantized_executor.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

Conv2d conv(int64_t out, int64_t kernel, int64_t groups, ActivationKind kind) {
  Conv2d op;
  op.out_channels = out;
  op.kernel = kernel;
  op.padding = kernel / 2;
  op.groups = groups;
  op.bias = true;
  op.activation = kind;
  return op;
}

/// image -> expand -> depthwise -> project -> wide -> mean -> flat -> head, clamps by `kind`.
Model chain(ActivationKind kind) {
  Model model;
  Network& net = model.network;
  NodeId id = net.add_input("image", {1, 3, 6, 6});
  id = net.add("expand", conv(8, 1, 1, kind), {id});
  id = net.add("depthwise", conv(8, 3, 8, kind), {id});
  id = net.add("project", conv(4, 1, 1, ActivationKind::Identity), {id});
  id = net.add("wide", conv(6, 1, 1, kind), {id});
  id = net.add("mean", GlobalAveragePool{}, {id});
  id = net.add("flat", Flatten{}, {id});
  net.add("head", Linear{5, true}, {id});
  model.weights = test::trained_looking_weights(net, Rng(3));
  return model;
}

/// Divides every channel of a layer by a random factor that the next one takes back.
void unbalance(Model& model, const std::string& first, const std::string& second, Rng rng) {
  Tensor& out = model.weights.at(first + ".weight");
  Tensor& in = model.weights.at(second + ".weight");
  const auto channels = static_cast<size_t>(out.shape[0]);
  const bool depthwise = in.shape[1] == 1;
  for (size_t c = 0; c < channels; ++c) {
    const auto factor = static_cast<float>(std::exp(2.0 * rng.normal()));
    const size_t width = out.values.size() / channels;
    for (size_t i = 0; i < width; ++i) out.values[c * width + i] *= factor;
    model.weights.at(first + ".bias").values[c] *= factor;
    for (size_t i = 0; i < in.values.size(); ++i) {
      const size_t area = static_cast<size_t>(in.shape[2] * in.shape[3]);
      const size_t channel = depthwise ? i / area : i / area % channels;
      if (channel == c) in.values[i] /= factor;
    }
  }
}

std::vector<double> spread(const Tensor& weight) {
  std::vector<double> ranges(static_cast<size_t>(weight.shape[0]), 0.0);
  const size_t width = weight.values.size() / ranges.size();
  for (size_t i = 0; i < weight.values.size(); ++i) {
    ranges[i / width] = std::max(ranges[i / width], std::abs(double{weight.values[i]}));
  }
  return ranges;
}

TEST_CASE("equalize keeps what a network computes and undoes unbalanced channels") {
  const Tensor images = test::random_tensor({4, 3, 6, 6}, Rng(5));
  Model model = chain(ActivationKind::Relu);
  const Tensor before = run_reference(model, images);
  unbalance(model, "expand", "depthwise", Rng(6));
  unbalance(model, "depthwise", "project", Rng(7));
  REQUIRE(test::relative_difference(run_reference(model, images), before) < 1e-4);
  const Equalization done = equalize(model, {});
  using Names = std::pair<std::string, std::string>;
  CHECK(done.pairs ==
        std::vector<Names>{{"expand", "depthwise"}, {"depthwise", "project"}, {"project", "wide"}});
  CHECK(test::relative_difference(run_reference(model, images), before) < 1e-4);
  // In a balanced pair a channel has one range on both sides.
  const std::vector<double> expand = spread(model.weights.at("expand.weight"));
  const std::vector<double> depthwise = spread(model.weights.at("depthwise.weight"));
  for (size_t c = 0; c < expand.size(); ++c) {
    CHECK(expand[c] == doctest::Approx(depthwise[c]).epsilon(0.01));
  }
  // Whatever the channels were scaled by, the same balance is found.
  Model other = chain(ActivationKind::Relu);
  equalize(other, {});
  const std::vector<double> same = spread(other.weights.at("expand.weight"));
  for (size_t c = 0; c < expand.size(); ++c) {
    CHECK(expand[c] == doctest::Approx(same[c]).epsilon(0.05));
  }
}

TEST_CASE("Equalised channels survive int8 that unbalanced ones do not") {
  const Tensor images = test::random_tensor({8, 3, 6, 6}, Rng(5));
  Model model = chain(ActivationKind::Relu);
  unbalance(model, "expand", "depthwise", Rng(6));
  unbalance(model, "depthwise", "project", Rng(7));
  const Tensor exact = run_reference(model, images);
  const auto error = [&](const Model& each) {
    return test::relative_difference(
        run_quantized(quantize(each, observe_ranges(each, images)), images), exact);
  };
  const double unbalanced = error(model);
  equalize(model, {});
  CHECK(error(model) < 0.5 * unbalanced);
}

TEST_CASE("relu6 becomes relu where nothing is cut off, and is left alone elsewhere") {
  Model model = chain(ActivationKind::Relu6);
  const Tensor images = test::random_tensor({4, 3, 6, 6}, Rng(5));
  const Tensor before = run_reference(model, images);
  ValueRanges ranges = observe_ranges(model, images);
  ranges["expand"].high = 5.9F;
  ranges["depthwise"].high = 6.0F;
  const Equalization done = equalize(model, ranges);
  CHECK(done.relu6_as_relu == std::vector<std::string>{"expand"});
  CHECK(done.relu6_kept == std::vector<std::string>{"depthwise"});
  const auto& nodes = model.network.nodes();
  CHECK(std::get<Conv2d>(nodes[1].op).activation == ActivationKind::Relu);
  CHECK(std::get<Conv2d>(nodes[2].op).activation == ActivationKind::Relu6);
  Model unknown = chain(ActivationKind::Relu6);
  CHECK(equalize(unknown, {}).relu6_kept.size() == 2);
  CHECK(test::relative_difference(run_reference(unknown, images), before) < 1e-4);
}

TEST_CASE("Layers with other readers, or activations that do not scale, are left alone") {
  Model model;
  Network& net = model.network;
  const NodeId image = net.add_input("image", {1, 4, 5, 5});
  const NodeId stem = net.add("stem", conv(4, 1, 1, ActivationKind::Relu), {image});
  const NodeId swish = net.add("swish", conv(4, 1, 1, ActivationKind::HardSwish), {stem});
  const NodeId last = net.add("last", conv(4, 1, 1, ActivationKind::Relu), {swish});
  net.add("sum", Add{}, {stem, last});
  model.weights = random_weights(net, 1);
  const Weights weights = model.weights;
  CHECK(equalize(model, {}).pairs.empty());
  for (const auto& [name, tensor] : weights) CHECK(model.weights.at(name).values == tensor.values);
}

TEST_CASE("Dead channels stay as they are") {
  Model model = chain(ActivationKind::Relu);
  std::vector<float>& weight = model.weights.at("expand.weight").values;
  std::fill(weight.begin(), weight.begin() + 3, 0.0F);
  const Tensor images = test::random_tensor({2, 3, 6, 6}, Rng(5));
  const Tensor before = run_reference(model, images);
  equalize(model, {});
  CHECK(test::relative_difference(run_reference(model, images), before) < 1e-4);
}

TEST_CASE("mean_shift is the mean difference of a layer's outputs, and the bias takes it back") {
  const Model exact = chain(ActivationKind::Relu);
  const Tensor images = test::random_tensor({16, 3, 6, 6}, Rng(8));
  Model rounded = quantize(exact, observe_ranges(exact, images));
  for (float& value : rounded.weights.at("expand.weight").values) value += 0.01F;
  const Node& node = exact.network.nodes()[1];
  Tensor mean{{1, 3, 6, 6}, std::vector<float>(108, 0.0F)};
  for (size_t i = 0; i < images.values.size(); ++i) mean.values[i % 108] += images.values[i] / 16;
  const std::vector<double> shift = mean_shift(node, exact.weights, mean, rounded.weights, mean);
  // The slow definition: the mean over all images of what the layer computes before its activation.
  Node linear = node;
  std::get<Conv2d>(linear.op).activation = ActivationKind::Identity;
  const Tensor a = run_reference_node(linear, exact.weights, {&images});
  const Tensor b = run_reference_node(linear, rounded.weights, {&images});
  std::vector<double> expected(8, 0.0);
  for (size_t i = 0; i < a.values.size(); ++i) {
    expected[i / 36 % 8] += (double{b.values[i]} - double{a.values[i]}) / (16 * 36);
  }
  for (size_t c = 0; c < 8; ++c) CHECK(shift[c] == doctest::Approx(expected[c]).epsilon(1e-3));
  subtract_from_bias(rounded, node, shift);
  for (const double left : mean_shift(node, exact.weights, mean, rounded.weights, mean)) {
    CHECK(std::abs(left) < 5e-4);  // a step of the bias
  }
}

}  // namespace
}  // namespace lathe::network
