#include "supernet/compress/distillation.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "supernet/compress/hints.h"
#include "supernet/train/losses.h"
#include "tests/supernet/tiny_data.h"
#include "tests/supernet/seeded_tensor.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

/// Largest difference between the gradient of `loss` at `x` and central differences.
double gradient_error(const at::Tensor& x,
                      const std::function<at::Tensor(const at::Tensor&)>& loss) {
  const at::Tensor leaf = x.clone().requires_grad_(true);
  loss(leaf).backward();
  at::NoGradGuard no_gradients;
  const at::Tensor gradient = leaf.grad().contiguous();
  double worst = 0.0;
  const double h = 1e-5;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const auto moved = [&](double by) {
      at::Tensor other = x.clone();
      other.view({-1})[i] += by;
      return loss(other).item<double>();
    };
    const double slope = (moved(h) - moved(-h)) / (2.0 * h);
    worst = std::max(worst, std::abs(slope - gradient.view({-1})[i].item<double>()));
  }
  return worst;
}

Batch labels_only(const std::vector<int64_t>& labels) {
  const at::Tensor values = at::tensor(labels);
  return {at::zeros({values.numel(), 1, 2, 2}), values, values};
}

double softmax2(double a, double b) { return std::exp(a) / (std::exp(a) + std::exp(b)); }

network::Network small(int64_t channels) {
  network::Network network;
  network::Conv2d conv;
  conv.out_channels = channels;
  const auto input = network.add_input("input", {1, 1, 4, 4});
  const auto first = network.add("stage1.conv", conv, {input});
  const auto act = network.add("stage1.act", network::Activation{}, {first});
  const auto pool = network.add("head.pool", network::GlobalAveragePool{}, {act});
  const auto flat = network.add("head.flatten", network::Flatten{}, {pool});
  network::Linear linear;
  linear.out_features = 3;
  network.add("classifier", linear, {flat});
  return network;
}

}  // namespace

TEST_CASE("soft_target_loss of hand-computed logits") {
  // softmax([2, 0] / 2) = [e, 1] / (e + 1); target [3/4, 1/4]; T^2 = 4.
  const at::Tensor logits = at::tensor({2.0, 0.0}).view({1, 2});
  const at::Tensor target = at::tensor({0.75, 0.25}).view({1, 2});
  const double p = softmax2(1.0, 0.0);
  CHECK(soft_target_loss(logits, target, 2.0).item<double>() ==
        doctest::Approx(-4.0 * (0.75 * std::log(p) + 0.25 * std::log(1.0 - p))));
  // Equal probabilities: the loss is their entropy, and nothing pulls.
  const at::Tensor own = logits.clone().requires_grad_(true);
  const at::Tensor loss = soft_target_loss(own, at::softmax(logits / 2.0, 1), 2.0);
  loss.backward();
  CHECK(loss.item<double>() ==
        doctest::Approx(-4.0 * (p * std::log(p) + (1 - p) * std::log(1 - p))));
  CHECK(own.grad().abs().max().item<double>() < 1e-12);
}

TEST_CASE("mean_probabilities averages softmaxes, not logits") {
  const at::Tensor a = at::tensor({4.0, 0.0}).view({1, 2});
  const at::Tensor b = at::tensor({0.0, 2.0}).view({1, 2});
  const at::Tensor mean = mean_probabilities({a, b}, 2.0);
  CHECK(mean[0][0].item<double>() == doctest::Approx(0.5 * (softmax2(2, 0) + softmax2(0, 1))));
  CHECK(mean.sum().item<double>() == doctest::Approx(1.0));
  CHECK(mean_probabilities({a}, 1.0)[0][1].item<double>() == doctest::Approx(softmax2(0, 4)));
}

TEST_CASE("hint_loss is half the mean squared difference at the student's size") {
  const at::Tensor student = at::tensor({1.0, 2.0, 3.0, 4.0}).view({1, 1, 2, 2});
  CHECK(hint_loss(student, at::zeros({1, 1, 2, 2}, at::kDouble)).item<double>() ==
        doctest::Approx(0.5 * 30.0 / 4.0));
  // A teacher of twice the size is resampled: means of 2 x 2 pixels.
  const at::Tensor large = at::arange(16, at::kDouble).view({1, 1, 4, 4});
  const at::Tensor means = at::tensor({2.5, 4.5, 10.5, 12.5}).view({1, 1, 2, 2});
  CHECK(hint_loss(means, large).item<double>() == doctest::Approx(0.0));
}

TEST_CASE("Every loss's gradient agrees with finite differences, and none reaches the teacher") {
  const at::Tensor target = at::softmax(test::normal({4, 5}, 1), 1);
  for (const double temperature : {0.5, 1.0, 4.0}) {
    CHECK(gradient_error(test::normal({4, 5}, 2), [&](const at::Tensor& x) {
            return soft_target_loss(x, target, temperature);
          }) < 1e-8);
  }
  const at::Tensor feature = test::normal({2, 3, 4, 4}, 3);
  CHECK(gradient_error(test::normal({2, 3, 2, 2}, 4),
                       [&](const at::Tensor& x) { return hint_loss(x, feature); }) < 1e-8);
  const at::Tensor teacher = test::normal({4, 5}, 5).requires_grad_(true);
  const at::Tensor student = test::normal({4, 5}, 6).requires_grad_(true);
  const at::Tensor wide = feature.clone().requires_grad_(true);
  (soft_target_loss(student, mean_probabilities({teacher}, 2.0), 2.0) +
   hint_loss(test::normal({2, 3, 4, 4}, 7).requires_grad_(true), wide))
      .backward();
  CHECK(student.grad().defined());
  CHECK_FALSE(teacher.grad().defined());
  CHECK_FALSE(wide.grad().defined());
}

TEST_CASE(
    "The whole loss of one student is alpha H + beta T^2 H + hints, its gradient that of "
    "differences") {
  const network::Model model{small(2), network::random_weights(small(2), 4)};
  DistilOptions options;
  options.alpha = 0.3;
  options.beta = 0.7;
  options.temperature = 3.0;
  options.hints = {{"stage1", "stage1"}};
  options.hint_weight = 2.0;
  const at::Tensor classes = at::tensor({0, 1, 2, 1}, at::kLong);
  Batch batch{test::normal({4, 1, 4, 4}, 8).to(at::kFloat), classes, classes};
  const Teacher teacher(model, at::kCPU, {hint_node(model.network, "stage1")});
  const auto taught = teacher.outputs(batch.images);
  REQUIRE(taught.size() == 2);
  CHECK(taught[1].sizes() == at::IntArrayRef({4, 2, 4, 4}));
  CHECK(taught[1].min().item<double>() >= 0.0);  // activated
  Distillation whole({teacher}, options, 0.1);
  const at::Tensor features = test::normal({4, 2, 4, 4}, 9);
  const at::Tensor logits = test::normal({4, 3}, 10);
  const auto loss = [&](const at::Tensor& x, const at::Tensor& f) {
    return whole.losses(batch, {{x, f}})[0];
  };
  const at::Tensor log_p = at::log_softmax(logits, 1);
  const at::Tensor log_soft = at::log_softmax(logits / 3.0, 1);
  const at::Tensor t = at::softmax(taught[0].to(at::kDouble) / 3.0, 1);
  const double labels = 0.9 * -log_p.gather(1, batch.labels.view({4, 1})).mean().item<double>() -
                        0.1 * log_p.mean().item<double>();
  const double soft = -9.0 * (t * log_soft).sum(1).mean().item<double>();
  const double hint = 0.5 * (features - taught[1]).square().mean().item<double>();
  CHECK(loss(logits, features).item<double>() ==
        doctest::Approx(0.3 * labels + 0.7 * soft + 2.0 * hint).epsilon(1e-6));
  CHECK(gradient_error(logits, [&](const at::Tensor& x) { return loss(x, features); }) < 1e-7);
  CHECK(gradient_error(features, [&](const at::Tensor& f) { return loss(logits, f); }) < 1e-7);
}

TEST_CASE("Without a teacher a student learns the labels alone, whatever alpha is") {
  DistilOptions options;
  options.alpha = 0.2;
  Distillation objective({}, options, 0.0);
  const Batch batch = labels_only({1, 0});
  const at::Tensor logits = at::tensor({0.0, 1.0, 3.0, 1.0}).view({2, 2});
  CHECK(objective.losses(batch, {{logits}})[0].item<double>() ==
        doctest::Approx(-0.5 * (std::log(softmax2(1, 0)) + std::log(softmax2(3, 1)))));
}

TEST_CASE("Mutual learning: each of three students learns from the mean of the others") {
  DistilOptions options;
  options.alpha = 1.0;
  options.beta = 1.0;
  Distillation objective({}, options, 0.0);
  const Batch batch = labels_only({0});
  const std::vector<std::pair<double, double>> logits = {{1, 0}, {0, 2}, {3, 1}};
  std::vector<std::vector<at::Tensor>> outputs;
  for (const auto& [a, b] : logits)
    outputs.push_back({at::tensor({a, b}).view({1, 2}).requires_grad_(true)});
  const auto losses = objective.losses(batch, outputs);
  REQUIRE(losses.size() == 3);
  for (size_t s = 0; s < 3; ++s) {
    const double p = softmax2(logits[s].first, logits[s].second);
    double kl = 0.0;       // mean Kullback-Leibler divergence of the peers from the student ...
    double entropy = 0.0;  // ... and the mean of the peers' entropies, a constant
    for (size_t peer = 0; peer < 3; ++peer) {
      if (peer == s) continue;
      const double q = softmax2(logits[peer].first, logits[peer].second);
      kl += 0.5 * (q * std::log(q / p) + (1 - q) * std::log((1 - q) / (1 - p)));
      entropy -= 0.5 * (q * std::log(q) + (1 - q) * std::log(1 - q));
    }
    CHECK(losses[s].item<double>() == doctest::Approx(-std::log(p) + kl + entropy));
  }
  losses[0].backward();
  CHECK(outputs[0][0].grad().defined());
  CHECK_FALSE(outputs[1][0].grad().defined());
}

TEST_CASE("hint_node finds blocks by their beginning and takes the activation that follows") {
  const network::Network network = small(2);
  const auto name = [&](const char* hint) { return network.node(hint_node(network, hint)).name; };
  CHECK(name("stage1") == "stage1.act");
  CHECK(name("stage1.conv") == "stage1.act");
  CHECK(message_of<ConfigError>([&] { hint_node(network, "stage9"); }) ==
        "hint stage9: no such node or block, expected features with height and width, such as "
        "those of input, "
        "stage1, head");
  CHECK(message_of<ConfigError>([&] { hint_node(network, "classifier"); }) ==
        "hint classifier: its shape = [1, 3], expected features with height and width, such as "
        "those of input, "
        "stage1, head");
}

TEST_CASE("with_regressors adds a 1x1 convolution where channels differ, and nothing else") {
  const HintedNetwork same = with_regressors(small(2), small(2), {{"stage1", "stage1"}});
  CHECK(same.network.nodes().size() == small(2).nodes().size());
  CHECK(same.network.node(same.features.at(0)).name == "stage1.act");
  const HintedNetwork wider = with_regressors(small(2), small(6), {{"stage1", "stage1"}});
  const network::Node& regressor = wider.network.node(wider.features.at(0));
  CHECK(regressor.name == "hint0.regressor");
  CHECK(regressor.shape == network::Shape{1, 6, 4, 4});
  CHECK(regressor.parameters.at(0).shape == network::Shape{6, 2, 1, 1});
  CHECK(wider.network.output() == small(2).output());
  CHECK(wider.network.output_shape() == network::Shape{1, 3});
}

TEST_CASE("A plan gives the values of further nodes besides the output") {
  const network::Model model{small(2), network::random_weights(small(2), 4)};
  const network::NodeId feature = hint_node(model.network, "stage1");
  network::Network cut = model.network;
  cut.set_output(feature);
  const at::Tensor images = test::normal({3, 1, 4, 4}, 11).to(at::kFloat);
  const auto outputs = Teacher(model, at::kCPU, {feature}).outputs(images);
  CHECK(outputs[0].equal(Teacher(model, at::kCPU).outputs(images)[0]));
  CHECK(outputs[1].equal(Teacher({cut, model.weights}, at::kCPU).outputs(images)[0]));
}
