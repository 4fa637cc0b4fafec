#include "supernet/compress/channel_scores.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "network/passes.h"
#include "network/pruning/prune.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

namespace lathe::supernet {
namespace {

using network::PruneCriterion;

constexpr int64_t kImages = 6;

/// Random grey images of three classes, not normalised.
Batches random_images(int64_t size) {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  Rng rng(3);
  for (int64_t i = 0; i < kImages * size * size; ++i)
    pixels.push_back(static_cast<uint8_t>(rng.below(256)));
  for (int64_t i = 0; i < kImages; ++i) labels.push_back(i % 3);
  const ImageSet set({1, size, size}, std::move(pixels), std::move(labels));
  DatasetInfo info;
  info.classes = 3;
  info.mean = {0.0};
  info.standard_deviation = {1.0};
  return {set, info, at::kCPU};
}

network::Tensor tensor_of(const Batches& images) {
  return to_network(images.range(0, images.size()).images);
}

network::NodeId conv(network::Network& network, const std::string& name, network::NodeId input,
                     int64_t out, int64_t groups = 1) {
  network::Conv2d op;
  op.out_channels = out;
  op.groups = groups;
  op.bias = true;
  op.activation = network::ActivationKind::Relu;
  return network.add(name, op, {input});
}

/// input -> a (4) -> depthwise d, whose channels are tied to a's -> mean -> classes.
network::Model tied_model(int64_t size) {
  network::Model model;
  network::NodeId id = model.network.add_input("input", {1, 1, size, size});
  id = conv(model.network, "a", id, 4);
  id = conv(model.network, "d", id, 4, 4);
  id = model.network.add("pool", network::GlobalAveragePool{}, {id});
  id = model.network.add("flat", network::Flatten{}, {id});
  model.network.add("classes", network::Linear{3}, {id});
  model.weights = test::trained_looking_weights(model.network, Rng(2));
  return model;
}

network::ChannelScores scores_of(const network::Model& model, PruneCriterion criterion,
                                 const Batches& images, int64_t batch = 4) {
  return image_scores(model, network::find_channel_groups(model.network), criterion, images,
                      images.size(), batch, at::kCPU);
}

/// Cross entropy of every image, by the reference executor.
std::vector<double> losses(const network::Model& model, const Batches& images) {
  const network::Tensor logits = network::run_reference(model, tensor_of(images));
  std::vector<double> all;
  for (int64_t n = 0; n < images.size(); ++n) {
    const float* row = logits.values.data() + n * 3;
    double sum = 0.0;
    for (int c = 0; c < 3; ++c) sum += std::exp(double{row[c]});
    all.push_back(std::log(sum) - double{row[images.images().label(n)]});
  }
  return all;
}

/// Multiplies one filter and its bias: behind relu that multiplies the channel's activations.
network::Model scaled(network::Model model, const std::string& layer, int64_t channel,
                      float factor) {
  for (const char* role : {".weight", ".bias"}) {
    std::vector<float>& values = model.weights.at(layer + role).values;
    const auto each = static_cast<int64_t>(values.size()) / 4;
    for (int64_t i = channel * each; i < (channel + 1) * each; ++i)
      values[static_cast<size_t>(i)] *= factor;
  }
  return model;
}

/// What a mask on the channel changes of each image's loss: the sum over its pixels of a * da.
std::vector<double> slopes(const network::Model& model, const std::string& layer, int64_t channel,
                           const Batches& images) {
  constexpr float kStep = 0.02F;
  const std::vector<double> up = losses(scaled(model, layer, channel, 1.0F + kStep), images);
  const std::vector<double> down = losses(scaled(model, layer, channel, 1.0F - kStep), images);
  std::vector<double> result;
  for (size_t n = 0; n < up.size(); ++n)
    result.push_back((up[n] - down[n]) / (2.0 * double{kStep}));
  return result;
}

TEST_CASE("Taylor and Fisher are the slopes of the loss under masks on the channels") {
  constexpr int64_t kSize = 3;
  const network::Model model = tied_model(kSize);
  const Batches images = random_images(kSize);
  const auto taylor = scores_of(model, PruneCriterion::Taylor, images);
  const auto fisher = scores_of(model, PruneCriterion::Fisher, images);
  REQUIRE(taylor.size() == 1);
  REQUIRE(fisher[0].size() == 4);
  const double macs = kSize * kSize * (1 + 1) + 3;  // of one channel: a, d and its classes
  for (int64_t c = 0; c < 4; ++c) {
    CAPTURE(c);
    const std::vector<double> of_a = slopes(model, "a", c, images);
    const std::vector<double> of_d = slopes(model, "d", c, images);
    double sum = 0.0;
    double squares = 0.0;
    for (size_t n = 0; n < of_a.size(); ++n) {
      sum += (std::abs(of_a[n]) + std::abs(of_d[n])) / (kSize * kSize);
      squares += (of_a[n] + of_d[n]) * (of_a[n] + of_d[n]);
    }
    const auto unit = static_cast<size_t>(c);
    CHECK(taylor[0][unit] == doctest::Approx(sum / kImages).epsilon(0.01));
    CHECK(fisher[0][unit] == doctest::Approx(squares / kImages / macs).epsilon(0.01));
  }
  // Without batch norm the images' batches do not matter.
  for (size_t c = 0; c < 4; ++c) {
    CHECK(scores_of(model, PruneCriterion::Fisher, images, 6)[0][c] ==
          doctest::Approx(fisher[0][c]).epsilon(1e-4));
  }
}

/// The mean over images and pixels of `f` of each channel.
std::vector<double> means(const network::Tensor& tensor, double (*f)(double)) {
  const int64_t channels = tensor.shape[1];
  const int64_t pixels = network::element_count(tensor.shape) / (tensor.shape[0] * channels);
  std::vector<double> sums(static_cast<size_t>(channels), 0.0);
  for (size_t i = 0; i < tensor.values.size(); ++i) {
    const auto c = static_cast<size_t>((static_cast<int64_t>(i) / pixels) % channels);
    sums[c] += f(double{tensor.values[i]}) / static_cast<double>(tensor.shape[0] * pixels);
  }
  return sums;
}

/// The name of the node that hands on what `layer` computes, by following single readers.
std::string handing_on(const network::Network& network, const std::string& layer) {
  std::string name = layer;
  for (const network::Node& node : network.nodes()) {
    const bool follows = std::holds_alternative<network::BatchNorm>(node.op) ||
                         std::holds_alternative<network::Activation>(node.op);
    if (!follows || network.node(node.inputs[0]).name != name) continue;
    if (network.use_counts()[static_cast<size_t>(node.inputs[0])] == 1) name = node.name;
  }
  return name;
}

TEST_CASE("Activations are judged behind batch norm and activation, as the reference has them") {
  const test::TemporaryFolder folder;
  const auto space = test::tiny_space(folder.path());
  network::Model model;
  model.network = space->lower(space->largest());
  model.weights = test::trained_looking_weights(model.network, Rng(6));
  const Batches images = random_images(model.network.input_shape()[2]);
  std::map<std::string, network::Tensor> outputs;
  network::run_reference(model, tensor_of(images), [&](const network::Node& node, const auto& out) {
    outputs[node.name] = out;
  });
  const auto groups = network::find_channel_groups(model.network);
  const std::pair<PruneCriterion, double (*)(double)> criteria[] = {
      {PruneCriterion::MeanActivation, [](double x) { return std::abs(x); }},
      {PruneCriterion::Apoz, [](double x) { return x != 0.0 ? 1.0 : 0.0; }}};
  for (const auto& [criterion, f] : criteria) {
    const auto scores = scores_of(model, criterion, images);
    REQUIRE(scores.size() == groups.size());
    for (size_t g = 0; g < groups.size(); ++g) {
      CAPTURE(groups[g].name);
      std::vector<double> expected(groups[g].units.size(), 0.0);
      for (const network::NodeId id : groups[g].nodes) {
        const network::Node& node = model.network.node(id);
        if (!std::holds_alternative<network::Conv2d>(node.op)) continue;
        const auto layer = means(outputs.at(handing_on(model.network, node.name)), f);
        for (size_t u = 0; u < expected.size(); ++u) {
          for (const network::Channel& channel : groups[g].units[u])
            if (channel.node == id) expected[u] += layer[static_cast<size_t>(channel.index)];
        }
      }
      for (size_t u = 0; u < expected.size(); ++u)
        CHECK(scores[g][u] == doctest::Approx(expected[u]).epsilon(1e-4));
    }
  }
}

TEST_CASE("Entropy is that of the images' means over equal bins") {
  network::Model model;
  network::NodeId id = model.network.add_input("input", {1, 1, 1, 1});
  id = conv(model.network, "a", id, 3);
  conv(model.network, "last", id, 3);
  model.weights = network::random_weights(model.network, 1);
  model.weights["a.weight"].values = {1.0F, -1.0F, 0.5F};
  // The last is in the second of 32 bins.
  const ImageSet set({1, 1, 1}, {0, 0, 255, 255, 128, 10}, std::vector<int64_t>(kImages, 0));
  DatasetInfo info;
  info.mean = {0.0};
  info.standard_deviation = {1.0};
  const auto scores = scores_of(model, PruneCriterion::Entropy, {set, info, at::kCPU});
  const double expected = 2.0 * -(std::log(1.0 / 3.0) / 3.0) + 2.0 * -(std::log(1.0 / 6.0) / 6.0);
  CHECK(scores[0][0] == doctest::Approx(expected));
  CHECK(scores[0][1] == doctest::Approx(0.0));  // relu leaves nothing
  CHECK(scores[0][2] == doctest::Approx(expected));
}

TEST_CASE("What the output does not depend on has no gradient and scores zero") {
  network::Model model = tied_model(2);
  conv(model.network, "unread", model.network.input(), 2);
  for (const network::Node& node : model.network.nodes()) {
    if (node.name == "classes") model.network.set_output(node.id);
  }
  model.weights = test::trained_looking_weights(model.network, Rng(2));
  const Batches images = random_images(2);
  const auto scores = scores_of(model, PruneCriterion::Taylor, images);
  REQUIRE(scores.size() == 2);
  CHECK(scores[1] == std::vector<double>{0.0, 0.0});
  CHECK(test::message_of<InvariantError>([&] { scores_of(model, PruneCriterion::L1, images); }) ==
        "image_scores: criterion = l1, expected one that needs images");
}

}  // namespace
}  // namespace lathe::supernet
