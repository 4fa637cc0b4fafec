#include <doctest/doctest.h>

#include <cmath>

#include "supernet/train/losses.h"
#include "supernet/train/optimizer.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

network::Network one_layer() {
  network::Network network;
  network::Conv2d conv;
  conv.out_channels = 1;
  conv.bias = true;
  network.add("w", conv, {network.add_input("input", {1, 1, 1, 1})});
  return network;
}

}  // namespace

TEST_CASE("LearningRateSchedule warms up and falls as a cosine to zero") {
  const LearningRateSchedule schedule{0.4, 4, 12};
  CHECK(schedule.at(0) == doctest::Approx(0.1));
  CHECK(schedule.at(3) == doctest::Approx(0.4));
  CHECK(schedule.at(4) == doctest::Approx(0.4));
  CHECK(schedule.at(8) == doctest::Approx(0.2));
  CHECK(schedule.at(11) == doctest::Approx(0.4 * 0.5 * (1.0 + std::cos(M_PI * 7.0 / 8.0))));
  CHECK((LearningRateSchedule{0.4, 0, 1}.at(0)) == doctest::Approx(0.4));
}

TEST_CASE("Sgd clips, decays weights but not biases, and takes Nesterov steps") {
  SharedWeights weights({one_layer()}, 1, at::kCPU);
  weights.values().copy_(at::tensor({2.0F, 3.0F}));  // weight, bias
  Sgd optimizer(weights, {0.5, 0.1, 1.0});
  weights.gradients().copy_(at::tensor({0.4F, -7.0F}));
  optimizer.step(0.1);
  // weight: g = 0.4 + 0.1 * 2 = 0.6, velocity 0.6, step 0.6 + 0.5 * 0.6 = 0.9; bias: g = -1, step -1.5.
  CHECK(weights.values()[0].item<double>() == doctest::Approx(2.0 - 0.09));
  CHECK(weights.values()[1].item<double>() == doctest::Approx(3.0 + 0.15));
  CHECK(weights.gradients().abs().sum().item<double>() == 0.0);
  optimizer.step(0.1);
  // Without a new gradient: weight g = 0.191, velocity 0.3 + 0.191; bias velocity -0.5, step -0.25.
  CHECK(optimizer.momentum()[0].item<double>() == doctest::Approx(0.491));
  CHECK(weights.values()[0].item<double>() == doctest::Approx(1.91 - 0.1 * (0.191 + 0.5 * 0.491)));
  CHECK(weights.values()[1].item<double>() == doctest::Approx(3.15 + 0.025));
}

TEST_CASE("cross_entropy follows its definition with and without smoothing") {
  const at::Tensor logits = at::tensor({1.0, 2.0, 0.5, 0.0, 0.0, 3.0}).view({2, 3});
  const at::Tensor labels = at::tensor({int64_t{1}, int64_t{0}});
  const double first = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(0.5));
  const double second = std::log(2.0 + std::exp(3.0));
  const double hard = ((first - 2.0) + (second - 0.0)) / 2.0;
  CHECK(cross_entropy(logits, labels, 0.0).item<double>() == doctest::Approx(hard));
  const double uniform = ((first - 3.5 / 3.0) + (second - 1.0)) / 2.0;
  CHECK(cross_entropy(logits, labels, 0.1).item<double>() == doctest::Approx(0.9 * hard + 0.1 * uniform));
}

TEST_CASE("distillation is cross entropy against the teacher, which gets no gradient") {
  const at::Tensor teacher = at::tensor({0.0, std::log(3.0)}).view({1, 2}).requires_grad_(true);
  const at::Tensor logits = at::tensor({1.0, 0.0}).view({1, 2}).requires_grad_(true);
  const at::Tensor loss = distillation(logits, teacher);
  const double norm = std::log(std::exp(1.0) + 1.0);
  CHECK(loss.item<double>() == doctest::Approx(0.25 * (norm - 1.0) + 0.75 * norm));
  loss.backward();
  CHECK_FALSE(teacher.grad().defined());
  const double p = std::exp(1.0) / (std::exp(1.0) + 1.0);
  CHECK(logits.grad()[0][0].item<double>() == doctest::Approx(p - 0.25));
}
