#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "supernet/executor/batch_norm.h"
#include "tests/supernet/seeded_tensor.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;
using network::ActivationKind;

namespace {

const std::vector<ActivationKind> kActivations = {
    ActivationKind::Identity,    ActivationKind::Relu,  ActivationKind::Relu6,  ActivationKind::HardSwish,
    ActivationKind::HardSigmoid, ActivationKind::Swish, ActivationKind::Sigmoid};

/// LibTorch's own operators: another implementation of the same definition.
at::Tensor oracle(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta, ActivationKind activation) {
  return activate(at::batch_norm(x, gamma, beta, {}, {}, true, 0.0, 1e-5, false), activation);
}

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

struct Leaves {
  at::Tensor x, gamma, beta;
};
Leaves leaves(int64_t images, int64_t channels, int64_t side, uint64_t seed) {
  Leaves l;
  l.x = (test::normal({images, channels, side, side}, seed) * 2.0 + 1.5).contiguous(at::MemoryFormat::ChannelsLast);
  l.gamma = test::normal({channels}, seed + 1) * 1.5;
  l.beta = test::normal({channels}, seed + 2) * 2.0;
  for (at::Tensor* t : {&l.x, &l.gamma, &l.beta}) t->requires_grad_(true);
  return l;
}

}  // namespace

TEST_CASE("batch_norm_train normalises by hand-computed moments") {
  const at::Tensor x = at::tensor({1.0F, 3.0F, 5.0F, 7.0F}).view({2, 1, 1, 2});
  const at::Tensor y = batch_norm_train(x, at::tensor({2.0F}), at::tensor({1.0F}), 0.0, ActivationKind::Relu);
  // Mean 4, variance 5: (-3, -1, 1, 3) / sqrt(5) * 2 + 1, negatives cut.
  const double unit = 2.0 / std::sqrt(5.0);
  CHECK(y.view({-1})[0].item<double>() == 0.0);
  CHECK(y.view({-1})[1].item<double>() == doctest::Approx(1.0 - unit));
  CHECK(y.view({-1})[3].item<double>() == doctest::Approx(1.0 + 3.0 * unit));
}

TEST_CASE("batch_norm_train and its gradients agree with LibTorch's operators in double") {
  // Channels around the vector widths, pixels that do and do not fill the kernels' rows.
  const std::vector<std::vector<int64_t>> sizes = {{3, 1, 2}, {2, 7, 3}, {5, 16, 4}, {4, 40, 5}, {2, 600, 2}};
  for (const auto& size : sizes) {
    for (const ActivationKind activation : kActivations) {
      const Leaves ours = leaves(size[0], size[1], size[2], 5);
      const Leaves theirs = leaves(size[0], size[1], size[2], 5);
      const at::Tensor y = batch_norm_train(ours.x, ours.gamma, ours.beta, 1e-5, activation);
      const at::Tensor expected = oracle(theirs.x, theirs.gamma, theirs.beta, activation);
      const at::Tensor weight = test::normal(y.sizes(), 9);
      (y * weight).sum().backward();
      (expected * weight).sum().backward();
      // LibTorch's hard sigmoid and hard swish divide by six in float, even for doubles.
      const bool hard = activation == ActivationKind::HardSigmoid || activation == ActivationKind::HardSwish;
      const double tolerance = hard ? 1e-6 : 1e-9;
      CAPTURE(size[1]);
      CAPTURE(std::string(network::to_string(activation)));
      CHECK(difference(y, expected) < tolerance);
      CHECK(difference(ours.x.grad(), theirs.x.grad()) < tolerance);
      CHECK(difference(ours.gamma.grad(), theirs.gamma.grad()) < tolerance);
      CHECK(difference(ours.beta.grad(), theirs.beta.grad()) < tolerance);
    }
  }
}

TEST_CASE("batch_norm_train's gradients agree with finite differences") {
  for (const ActivationKind activation : {ActivationKind::HardSwish, ActivationKind::Relu6}) {
    const Leaves l = leaves(3, 5, 3, 21);
    const at::Tensor weight = test::normal(l.x.sizes(), 22);
    const auto loss = [&](const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta) {
      return (batch_norm_train(x, gamma, beta, 1e-5, activation) * weight).sum();
    };
    loss(l.x, l.gamma, l.beta).backward();
    const double h = 1e-6;
    at::NoGradGuard no_gradients;
    const at::Tensor dx = test::normal(l.x.sizes(), 23);
    const at::Tensor dg = test::normal(l.gamma.sizes(), 24);
    const at::Tensor db = test::normal(l.beta.sizes(), 25);
    const double slope = (loss(l.x + h * dx, l.gamma + h * dg, l.beta + h * db) -
                          loss(l.x - h * dx, l.gamma - h * dg, l.beta - h * db))
                             .item<double>() /
                         (2.0 * h);
    const double expected =
        ((l.x.grad() * dx).sum() + (l.gamma.grad() * dg).sum() + (l.beta.grad() * db).sum()).item<double>();
    CHECK(slope == doctest::Approx(expected).epsilon(1e-5));
  }
}

TEST_CASE("Float moments keep their digits when the mean is large") {
  const at::Tensor x = (test::normal({64, 3, 8, 8}, 31) * 0.01 + 1000.0).to(at::kFloat);
  at::NoGradGuard no_gradients;
  const ChannelMoments moments = batch_moments(x);
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor variance = wide.var(at::IntArrayRef({0, 2, 3}), false);
  CHECK(moments.count == 64 * 64);
  CHECK(((moments.variance - variance) / variance).abs().max().item<double>() < 1e-4);
  CHECK(difference(moments.mean, wide.mean(at::IntArrayRef({0, 2, 3}))) < 1e-6);
}

TEST_CASE("batch_norm_given follows the definition in place and out of place") {
  at::NoGradGuard no_gradients;
  for (const ActivationKind activation : kActivations) {
    const at::Tensor x = test::normal({3, 20, 3, 3}, 41, at::kFloat);
    const at::Tensor gamma = test::normal({20}, 42, at::kFloat);
    const at::Tensor beta = test::normal({20}, 43, at::kFloat);
    const at::Tensor mean = test::normal({20}, 44);
    const at::Tensor variance = test::normal({20}, 45).abs() + 0.1;
    const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble).view({1, -1, 1, 1}); };
    const at::Tensor expected = activate(
        (x.to(at::kDouble) - wide(mean)) / (wide(variance) + 1e-3).sqrt() * wide(gamma) + wide(beta), activation);
    const at::Tensor before = x.clone();
    const at::Tensor y = batch_norm_given(x, gamma, beta, mean, variance, 1e-3, activation, false);
    CHECK(difference(y.to(at::kDouble), expected) < 1e-5);
    CHECK(x.equal(before));
    const at::Tensor same = channels_innermost(x).clone();
    CHECK(batch_norm_given(same, gamma, beta, mean, variance, 1e-3, activation, true).equal(y));
  }
}

TEST_CASE("PooledMoments are those of all values together, not averages of the batches") {
  const at::Tensor all = test::normal({90, 4, 2, 2}, 51) * 3.0;
  at::Tensor shifted = all.clone();
  shifted.narrow(0, 50, 40).add_(10.0);  // batches with different means
  PooledMoments pooled;
  for (const auto& [begin, size] : std::vector<std::pair<int64_t, int64_t>>{{0, 50}, {50, 30}, {80, 10}}) {
    const at::Tensor part = shifted.narrow(0, begin, size);
    pooled.add({part.mean(at::IntArrayRef({0, 2, 3})), part.var(at::IntArrayRef({0, 2, 3}), false), size * 4});
  }
  const ChannelMoments moments = pooled.pooled();
  CHECK(moments.count == 360);
  CHECK(difference(moments.mean, shifted.mean(at::IntArrayRef({0, 2, 3}))) < 1e-12);
  CHECK(difference(moments.variance, shifted.var(at::IntArrayRef({0, 2, 3}), false)) < 1e-10);
  CHECK(test::message_of<InvariantError>([] { PooledMoments().pooled(); }) ==
        "PooledMoments::pooled: no batch was added");
}

TEST_CASE("Moments and gradients do not depend on the number of threads") {
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor x = test::normal({33, 24, 7, 7}, 61, at::kFloat).requires_grad_(true);
    const at::Tensor gamma = test::normal({24}, 62, at::kFloat).requires_grad_(true);
    const at::Tensor y = batch_norm_train(x, gamma, at::zeros({24}), 1e-5, ActivationKind::Relu);
    (y * test::normal(y.sizes(), 63, at::kFloat)).sum().backward();
    results.push_back(at::cat({y.detach().reshape({-1}), x.grad().reshape({-1}), gamma.grad()}));
  }
  at::set_num_threads(threads);
  CHECK(results[1].equal(results[0]));
  CHECK(results[2].equal(results[0]));
}
