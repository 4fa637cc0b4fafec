#include <doctest/doctest.h>

#include <cmath>

#include "core/rng.h"
#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "network/passes.h"
#include "tests/device_agent/engine/engine_checks.h"
#include "tests/device_agent/engine/random_graph.h"

using namespace lathe;
using namespace lathe::device;
using lathe::device::testing::conv;
using lathe::device::testing::single;
using namespace lathe::network;

namespace {

void check_against_reference(const Network& net, uint64_t seed, int threads = 1) {
  testing::check_against_reference(*make_xnnpack_engine(), net, seed,
                                   {threads, latency::Precision::Fp32});
}

}  // namespace

TEST_CASE("XNNPACK convolutions agree with plain loops") {
  for (const int64_t kernel : {1, 3, 5, 7}) {
    for (const int64_t stride : {1, 2}) {
      CAPTURE(kernel);
      CAPTURE(stride);
      check_against_reference(single({1, 6, 9, 8}, conv(10, kernel, stride, 1)), 1);
      check_against_reference(single({1, 6, 9, 8}, conv(6, kernel, stride, 6)), 2);  // depthwise
      check_against_reference(single({1, 6, 9, 8}, conv(12, kernel, stride, 6)),
                              3);  // depthwise multiplier 2
      check_against_reference(single({1, 6, 9, 8}, conv(9, kernel, stride, 3)), 4);  // grouped
    }
  }
}

TEST_CASE("XNNPACK applies every activation, fused and alone") {
  for (int kind = 0; kind <= 6; ++kind) {
    CAPTURE(kind);
    Conv2d op = conv(5, 3, 1, 1);
    op.activation = static_cast<ActivationKind>(kind);
    check_against_reference(single({1, 3, 6, 5}, op), 5);
    check_against_reference(single({1, 3, 6, 5}, Activation{op.activation}), 6);
    Linear linear;
    linear.out_features = 7;
    linear.activation = op.activation;
    Network flat = single({1, 3, 2, 2}, Flatten{});
    flat.add("head", linear, {flat.output()});
    check_against_reference(flat, 7);
  }
}

TEST_CASE("XNNPACK pools, resizes and normalises like plain loops") {
  for (const int64_t stride : {1, 2, 3}) {
    CAPTURE(stride);
    for (const int64_t window : {1, 2, 3, 5}) {
      CAPTURE(window);
      const Network net = single({1, 5, 9, 7}, MaxPool{window, stride, window / 2});
      if (window > 1 && stride > window && make_xnnpack_engine()->version() == "2024-11") {
        CHECK_THROWS_WITH_AS(check_against_reference(net, 8),
                             "max_pool op: XNNPACK max pooling: invalid parameter", EngineError);
      } else {
        check_against_reference(net, 8);
      }
      check_against_reference(single({1, 5, 9, 7}, AveragePool{window, stride, window / 2}), 9);
    }
  }
  for (const int64_t size : {1, 4, 13}) {
    check_against_reference(single({1, 5, 9, 7}, Resize{size, size + 1}), 10);
  }
  check_against_reference(single({1, 5, 9, 7}, Resize{9, 7}), 10);
  check_against_reference(single({1, 5, 9, 7}, BatchNorm{}), 11);
  check_against_reference(single({1, 5, 9, 7}, GlobalAveragePool{}), 12);
}

TEST_CASE("XNNPACK reads a flattened image in the network's order") {
  check_against_reference(single({1, 5, 4, 3}, Flatten{}), 13);
  Network net = single({1, 5, 4, 3}, Flatten{});
  Linear head;
  head.out_features = 3;
  net.add("head", head, {net.output()});
  check_against_reference(net, 14);
  // Through a slice, whose pixels are not adjacent.
  Network sliced = single({1, 5, 4, 3}, ChannelSlice{1, 4});
  const NodeId flat = sliced.add("flat", Flatten{}, {sliced.output()});
  sliced.add("head", head, {flat});
  check_against_reference(sliced, 15);
}

TEST_CASE("XNNPACK agrees with plain loops on 300 random graphs") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    check_against_reference(testing::random_graph(seed, 4 + static_cast<int>(seed % 20)), seed);
  }
}

TEST_CASE("XNNPACK gives the same with two threads") {
  if (usable_cores() < 2) return;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    check_against_reference(testing::random_graph(seed, 15), seed, 2);
  }
}

TEST_CASE("XNNPACK refuses what it cannot run by name") {
  const auto engine = make_xnnpack_engine();
  const Network net = single({1, 3, 6, 5}, conv(5, 3, 1, 1));
  const Model model{net, random_weights(net, 1)};
  CHECK_THROWS_WITH_AS(engine->prepare(model, {0, latency::Precision::Fp32}),
                       doctest::Contains("xnnpack: threads = 0, expected 1 to "), EngineError);
  CHECK_THROWS_WITH_AS(engine->prepare(model, {1000, latency::Precision::Fp32}),
                       doctest::Contains("xnnpack: threads = 1000, expected 1 to "), EngineError);
  CHECK_THROWS_WITH_AS(engine->prepare(model, {1, latency::Precision::Int8}),
                       "xnnpack: precision = int8, but the model is not quantised, expected a "
                       "quantised model (QDQ), or one without weights",
                       EngineError);
  if (engine->precisions().size() == 2) {  // a core without fp16
    CHECK_THROWS_WITH_AS(engine->prepare(model, {1, latency::Precision::Fp16}),
                         "xnnpack: precision = fp16, expected one of: fp32, int8", EngineError);
  }
  Model incomplete = model;
  incomplete.weights.erase("op.bias");
  CHECK_THROWS_AS(engine->prepare(incomplete, {}), InvariantError);
}

TEST_CASE("a prepared network refuses an image of another size") {
  const Network net = single({1, 3, 6, 5}, conv(5, 3, 1, 1));
  const auto runnable = make_xnnpack_engine()->prepare({net, random_weights(net, 1)}, {});
  CHECK_THROWS_WITH_AS(runnable->write_input(std::vector<float>(89)),
                       "XnnpackRunnable::write_input: values = 89, expected 90", InvariantError);
}

TEST_CASE("the profile has one time for each operator and names the node") {
  const Network net = single({1, 3, 6, 5}, conv(5, 3, 1, 1));
  const auto runnable = make_xnnpack_engine()->prepare({net, random_weights(net, 1)}, {});
  REQUIRE(runnable->operators().size() == 1);
  CHECK(runnable->operators()[0].node == "op");
  CHECK(runnable->operators()[0].op == "conv2d");
  CHECK(runnable->operators()[0].macs == 5 * 3 * 9 * 30);
  std::vector<double> seconds(1, 0.0);
  runnable->run_timed(seconds);
  CHECK(seconds[0] > 0.0);
  std::vector<double> wrong(2, 0.0);
  CHECK_THROWS_WITH_AS(runnable->run_timed(wrong),
                       "XnnpackRunnable::run_timed: entries = 2, expected 1", InvariantError);
}

TEST_CASE("the registry knows engines by name") {
  EngineRegistry registry;
  registry.add(make_xnnpack_engine());
  CHECK(registry.get("xnnpack").operators().size() == 15);
  CHECK_THROWS_WITH_AS(registry.get("tflite"), "engine = tflite, expected one of: xnnpack",
                       EngineError);
  CHECK_THROWS_WITH_AS(registry.add(make_xnnpack_engine()),
                       "EngineRegistry::add: engine = xnnpack, expected a new name",
                       InvariantError);
}
