#include <doctest/doctest.h>

#include "supernet/executor/batch_norm.h"
#include "supernet/executor/depthwise.h"
#include "supernet/executor/kernels/depthwise_kernels.h"
#include "tests/supernet/seeded_tensor.h"

using namespace lathe;
using namespace lathe::supernet;
using network::ActivationKind;

namespace {

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

network::Conv2d depthwise_of(int64_t channels, int64_t kernel, int64_t stride, int64_t padding) {
  network::Conv2d op;
  op.out_channels = op.groups = channels;
  op.kernel = kernel;
  op.stride = stride;
  op.padding = padding;
  return op;
}

}  // namespace

TEST_CASE("depthwise gives hand-computed values") {
  // One channel pair, 1 x 3 image, 3 x 3 taps of which the middle row reads the image.
  const at::Tensor x = at::tensor({1.0F, 2.0F, 3.0F, 10.0F, 20.0F, 30.0F}).view({1, 2, 1, 3});
  at::Tensor weight = at::zeros({2, 1, 3, 3});
  weight[0][0][1] = at::tensor({1.0F, 10.0F, 100.0F});
  weight[1][0][1] = at::tensor({0.0F, 1.0F, -1.0F});
  const at::Tensor y = depthwise(x, weight, depthwise_of(2, 3, 1, 1));
  CHECK(y[0][0][0].equal(at::tensor({210.0F, 321.0F, 32.0F})));
  CHECK(y[0][1][0].equal(at::tensor({-10.0F, -10.0F, 30.0F})));
}

TEST_CASE("depthwise and its gradients agree with LibTorch's convolution in double") {
  for (const int64_t channels : {2, 8, 15, 16, 24, 40}) {
    for (const int64_t kernel : {1, 2, 3, 5, 7}) {
      for (const int64_t stride : {1, 2, 3}) {
        for (const int64_t padding : {kernel / 2, int64_t{0}}) {
          const int64_t height = kernel + 6;
          const int64_t width = kernel + 3;
          const network::Conv2d op = depthwise_of(channels, kernel, stride, padding);
          const at::Tensor x = test::normal({3, channels, height, width}, 1).requires_grad_(true);
          const at::Tensor weight = test::normal({channels, 1, kernel, kernel}, 2).requires_grad_(true);
          const at::Tensor x2 = x.detach().clone().requires_grad_(true);
          const at::Tensor weight2 = weight.detach().clone().requires_grad_(true);
          const at::Tensor y = depthwise(x, weight, op);
          const at::Tensor expected = at::conv2d(x2, weight2, {}, stride, padding, 1, channels);
          REQUIRE(y.sizes() == expected.sizes());
          const at::Tensor along = test::normal(y.sizes(), 3);
          (y * along).sum().backward();
          (expected * along).sum().backward();
          CAPTURE(channels);
          CAPTURE(kernel);
          CAPTURE(stride);
          CAPTURE(padding);
          CHECK(difference(y, expected) < 1e-11);
          CHECK(difference(x.grad(), x2.grad()) < 1e-11);
          CHECK(difference(weight.grad(), weight2.grad()) < 1e-10);
        }
      }
    }
  }
}

TEST_CASE("depthwise_between gives bit by bit what batch norm by itself gives before and after") {
  at::NoGradGuard no_gradients;
  for (const int64_t channels : {2, 8, 15, 16, 24, 40}) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const at::Tensor x = test::normal({3, channels, 9, 7}, 11, type).contiguous(at::MemoryFormat::ChannelsLast);
      const at::Tensor weight = test::normal({channels, 1, 5, 5}, 12, type);
      const network::Conv2d op = depthwise_of(channels, 5, 2, 2);
      const at::Tensor gamma = test::normal({channels}, 13) * 2.0;
      const at::Tensor beta = test::normal({channels}, 14);
      const at::Tensor mean = test::normal({channels}, 15);
      const at::Tensor variance = test::normal({channels}, 16).square() + 0.1;
      for (const ActivationKind kind : {ActivationKind::Identity, ActivationKind::Relu, ActivationKind::Relu6,
                                        ActivationKind::HardSwish, ActivationKind::HardSigmoid}) {
        const auto apart = [&](const at::Tensor& values) {
          return batch_norm_given(values, gamma, beta, mean, variance, 1e-3, kind, false);
        };
        const auto map = batch_norm_map(gamma, beta, mean, variance, 1e-3, kind);
        CAPTURE(channels);
        CAPTURE(static_cast<int>(kind));
        CHECK(depthwise_between(x, map, weight, {}, op).equal(depthwise(apart(x), weight, op)));
        CHECK(depthwise_between(x, {}, weight, map, op).equal(apart(depthwise(x, weight, op))));
        CHECK(depthwise_between(x, map, weight, map, op).equal(apart(depthwise(apart(x), weight, op))));
      }
      CHECK_FALSE(batch_norm_map(gamma, beta, mean, variance, 1e-3, ActivationKind::Swish).has_value());
    }
  }
}

TEST_CASE("depthwise takes images in either memory format and keeps channels innermost") {
  const at::Tensor x = test::normal({2, 24, 9, 9}, 4, at::kFloat);
  const at::Tensor weight = test::normal({24, 1, 5, 5}, 5, at::kFloat);
  const network::Conv2d op = depthwise_of(24, 5, 2, 2);
  const at::Tensor y = depthwise(x, weight, op);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(depthwise(channels_innermost(x), weight, op).equal(y));
}

TEST_CASE("depthwise's gradients do not depend on the number of threads") {
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 5}) {
    at::set_num_threads(count);
    const at::Tensor x = test::normal({37, 24, 7, 7}, 6, at::kFloat).requires_grad_(true);
    const at::Tensor weight = test::normal({24, 1, 3, 3}, 7, at::kFloat).requires_grad_(true);
    depthwise(x, weight, depthwise_of(24, 3, 1, 1)).square().sum().backward();
    results.push_back(at::cat({x.grad().reshape({-1}), weight.grad().reshape({-1})}));
  }
  at::set_num_threads(threads);
  CHECK(results[1].equal(results[0]));
  CHECK(results[2].equal(results[0]));
}

TEST_CASE("is_depthwise takes only what the kernels run") {
  const at::Tensor x = at::zeros({1, 8, 4, 4});
  CHECK(is_depthwise(depthwise_of(8, 3, 1, 1), x));
  CHECK_FALSE(is_depthwise(depthwise_of(4, 3, 1, 1), x));
  CHECK_FALSE(is_depthwise(depthwise_of(8, 17, 1, 8), x));
  CHECK_FALSE(is_depthwise(depthwise_of(8, 1, 1, 1), x));
  network::Conv2d multiplied = depthwise_of(8, 3, 1, 1);
  multiplied.out_channels = 16;
  CHECK_FALSE(is_depthwise(multiplied, x));
}

#if defined(__x86_64__)
TEST_CASE("The kernels of every instruction set that runs here agree") {
  const DepthwiseShape shape{24, 9, 8, 5, 2, 2};
  const at::Tensor x = test::normal({9, 8, 24}, 8, at::kFloat);
  const at::Tensor taps = test::normal({25, 24}, 9, at::kFloat);
  std::vector<std::pair<const DepthwiseKernels<float>*, const ChannelKernels<float>*>> tables = {
      {&kernels_baseline::kDepthwiseFloat, &kernels_baseline::kFloat}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    tables.emplace_back(&kernels_avx2::kDepthwiseFloat, &kernels_avx2::kFloat);
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    tables.emplace_back(&kernels_avx512::kDepthwiseFloat, &kernels_avx512::kFloat);
  std::vector<float> scratch(static_cast<size_t>(shape.scratch()));
  const at::Tensor expected = at::conv2d(x.permute({2, 0, 1}).unsqueeze(0), taps.t().reshape({24, 1, 5, 5}), {}, 2, 2,
                                         1, 24)[0]
                                  .permute({1, 2, 0});
  for (const auto& [table, channels] : tables) {
    const at::Tensor y = at::empty({shape.out_height(), shape.out_width(), 24});
    table->forward(shape, x.data_ptr<float>(), {}, taps.data_ptr<float>(), {}, y.data_ptr<float>(), scratch.data());
    CHECK(difference(y, expected) < 1e-4);
    const std::vector<float> scale(24, 2.0F);
    const std::vector<float> shift(24, 0.0F);
    const ChannelMap<float> twice = {scale.data(), shift.data(), {KernelActivation::Clamp, -1e9, 1e9}};
    table->forward(shape, x.data_ptr<float>(), twice, taps.data_ptr<float>(), twice, y.data_ptr<float>(),
                   scratch.data());
    CHECK(difference(y, expected * 4.0) < 4e-4);
    // A single tap of one leaves the map alone, and that is batch norm's to the last bit, in blocks of 16, 8 and 1.
    for (const int64_t width : {24, 12, 5}) {
      const at::Tensor values = test::normal({72, width}, 10, at::kFloat) * 3.0;
      const at::Tensor factor = test::normal({width}, 11, at::kFloat);
      const at::Tensor term = test::normal({width}, 12, at::kFloat);
      const at::Tensor one = at::ones({width});
      for (const KernelActivation kind :
           {KernelActivation::Clamp, KernelActivation::HardSwish, KernelActivation::HardSigmoid}) {
        const ChannelMap<float> map = {factor.data_ptr<float>(), term.data_ptr<float>(), {kind, 0.0, 6.0}};
        const at::Tensor alone = at::empty_like(values);
        channels->affine(values.data_ptr<float>(), alone.data_ptr<float>(), 72, width, map.scale, map.shift, map.act);
        const DepthwiseShape same{width, 9, 8, 1, 1, 0};
        std::vector<float> space(static_cast<size_t>(same.scratch()));
        const at::Tensor before = at::empty_like(values);
        table->forward(same, values.data_ptr<float>(), map, one.data_ptr<float>(), {}, before.data_ptr<float>(),
                       space.data());
        CHECK(before.equal(alone));
        const at::Tensor after = at::empty_like(values);
        table->forward(same, values.data_ptr<float>(), {}, one.data_ptr<float>(), map, after.data_ptr<float>(),
                       space.data());
        CHECK(after.equal(alone));
      }
    }
  }
}
#endif
