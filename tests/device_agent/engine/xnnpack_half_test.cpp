// fp16 on a core that has it; others are covered by the refusal in xnnpack_engine_test.cpp.
#include <doctest/doctest.h>

#include <algorithm>

#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/xnnpack/half_operators.h"

#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "network/reference_networks.h"
#include "tests/device_agent/engine/engine_checks.h"
#include "tests/device_agent/engine/random_graph.h"

using namespace lathe;
using namespace lathe::device;
using lathe::device::testing::conv;
using lathe::device::testing::single;
using namespace lathe::network;

namespace {

// A half has 11 bits: one rounding is up to 2^-11 of the value. Sums are kept in halves by some
// cores, so that thousands of products lose a digit more, and so do chains of many operators.
constexpr double kOperatorTolerance = 0.01;
constexpr double kSumTolerance = 0.03;
constexpr double kGraphTolerance = 0.05;
constexpr double kNetworkTolerance = 0.1;

void check(const Network& net, uint64_t seed, double tolerance = kOperatorTolerance,
           int threads = 1) {
  testing::check_against_reference(*make_xnnpack_engine(), net, seed,
                                   {threads, latency::Precision::Fp16}, tolerance);
}

}  // namespace

TEST_CASE("fp16 is offered where the core computes in it") {
  const auto precisions = make_xnnpack_engine()->precisions();
  const bool offered =
      std::find(precisions.begin(), precisions.end(), latency::Precision::Fp16) != precisions.end();
  CHECK(offered == xnn::half::supported());
}

TEST_CASE("fp16 operators agree with plain loops" * doctest::skip(!xnn::half::supported())) {
  for (const int64_t kernel : {1, 3, 5}) {
    for (const int64_t stride : {1, 2}) {
      CAPTURE(kernel);
      CAPTURE(stride);
      check(single({1, 6, 9, 8}, conv(10, kernel, stride, 1)), 1);
      check(single({1, 6, 9, 8}, conv(6, kernel, stride, 6)), 2);
      check(single({1, 6, 9, 8}, conv(9, kernel, stride, 3)), 3);
    }
  }
  for (int kind = 0; kind <= 6; ++kind) {
    CAPTURE(kind);
    Conv2d op = conv(5, 3, 1, 1);
    op.activation = static_cast<ActivationKind>(kind);
    check(single({1, 3, 6, 5}, op), 5);
    check(single({1, 3, 6, 5}, Activation{op.activation}), 6);
  }
  for (const Operator& op :
       std::vector<Operator>{MaxPool{3, 2, 1}, MaxPool{1, 2, 0}, AveragePool{3, 1, 1},
                             AveragePool{2, 2, 0}, GlobalAveragePool{}, Resize{13, 5}, BatchNorm{},
                             ChannelShuffle{3}, ChannelSlice{1, 4}, Flatten{}}) {
    CAPTURE(std::string(operator_name(op)));
    check(single({1, 6, 9, 8}, op), 7);
  }
  Network net = single({1, 5, 4, 3}, Flatten{});
  net.add("head", Linear{7, true, ActivationKind::HardSwish}, {net.output()});
  check(net, 8);
}

TEST_CASE("fp16 operators of many channels agree with plain loops" *
          doctest::skip(!xnn::half::supported())) {
  for (const int64_t channels : {16, 24, 40, 64, 96}) {
    CAPTURE(channels);
    for (const int64_t stride : {1, 2}) {
      CAPTURE(stride);
      for (const int64_t kernel : {1, 3, 5}) {
        CAPTURE(kernel);
        check(single({1, channels, 9, 8}, conv(channels + 8, kernel, stride, 1)), 1, kSumTolerance);
        check(single({1, channels, 9, 8}, conv(channels, kernel, stride, channels)), 2);
      }
      check(single({1, channels, 9, 8}, MaxPool{3, stride, 1}), 3);
    }
    check(single({1, channels, 9, 8}, GlobalAveragePool{}), 4);
    Network net = single({1, channels, 1, 1}, Flatten{});
    net.add("head", Linear{10, true}, {net.output()});
    check(net, 7);
  }
}

TEST_CASE("fp16 agrees with plain loops on random graphs and on published networks" *
          doctest::skip(!xnn::half::supported())) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    check(testing::random_graph(seed, 4 + static_cast<int>(seed % 17)), seed, kGraphTolerance,
          seed % 4 == 0 && usable_cores() > 1 ? 2 : 1);
  }
  for (const std::string& name : reference_network_names()) {
    CAPTURE(name);
    const Network net = reference_network(name, {64, 3, 10});
    const Model model{net, random_weights(net, 7)};
    const Tensor image = test::random_tensor(net.input_shape(), Rng(8));
    const auto runnable = make_xnnpack_engine()->prepare(model, {1, latency::Precision::Fp16});
    runnable->write_input(image.values);
    runnable->run();
    const Tensor expected = run_reference(model, image);
    const double difference =
        test::relative_difference(expected, {expected.shape, runnable->read_output()});
    MESSAGE(name, ": largest difference ", difference);
    CHECK(difference < kNetworkTolerance);
  }
}

TEST_CASE("fp16 holds half of the activations of fp32" * doctest::skip(!xnn::half::supported())) {
  const Network net = reference_network("mobilenet_v2_0.35", {64, 3, 10});
  const Model model{net, random_weights(net, 3)};
  const auto engine = make_xnnpack_engine();
  const auto halves = engine->prepare(model, {1, latency::Precision::Fp16});
  const auto floats = engine->prepare(model, {1, latency::Precision::Fp32});
  CHECK(static_cast<double>(halves->activation_bytes()) <
        0.55 * static_cast<double>(floats->activation_bytes()));
}
