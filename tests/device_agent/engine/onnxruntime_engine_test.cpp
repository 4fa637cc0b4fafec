#include "device_agent/engine/onnxruntime/onnxruntime_engine.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/onnxruntime/session.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "tests/device_agent/engine/engine_checks.h"
#include "tests/device_agent/engine/random_graph.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;
using namespace lathe::network;

namespace {

Network small_reference(const std::string& name) {
  ReferenceOptions options;
  options.resolution = 64;
  options.classes = 10;
  return reference_network(name, options);
}

}  // namespace

TEST_CASE("ONNX Runtime agrees with plain loops on the published networks") {
  const auto engine = make_onnxruntime_engine();
  for (const std::string& name : reference_network_names()) {
    CAPTURE(name);
    const Network net = small_reference(name);
    const Model model{net, random_weights(net, 7)};
    const Tensor image = test::random_tensor(net.input_shape(), Rng(8));
    const auto runnable = engine->prepare(model, {});
    runnable->write_input(image.values);
    runnable->run();
    const Tensor expected = run_reference(model, image);
    CHECK(test::relative_difference(expected, {expected.shape, runnable->read_output()}) < 1e-4);
  }
}

TEST_CASE("ONNX Runtime agrees with plain loops on random graphs of every operator") {
  const auto engine = make_onnxruntime_engine();
  for (uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    const int threads = seed % 10 == 0 && usable_cores() > 1 ? 2 : 1;
    check_against_reference(*engine, random_graph(seed, 4 + static_cast<int>(seed % 20)), seed,
                            {threads, latency::Precision::Fp32});
  }
}

TEST_CASE("ONNX Runtime's int8 operators are within one step of the definition") {
  const auto engine = make_onnxruntime_engine();
  Conv2d gate = conv(6, 1, 1, 1);
  gate.activation = ActivationKind::Relu6;
  const std::vector<Operator> operators = {conv(10, 3, 1, 1),
                                           conv(6, 5, 2, 6),
                                           conv(9, 3, 1, 3),
                                           gate,
                                           MaxPool{3, 2, 1},
                                           AveragePool{2, 2, 0},
                                           GlobalAveragePool{},
                                           ChannelShuffle{3},
                                           ChannelSlice{1, 4},
                                           Flatten{},
                                           Activation{ActivationKind::HardSwish},
                                           Activation{ActivationKind::Sigmoid}};
  Differences all;
  for (const Operator& op : operators) {
    CAPTURE(std::string(operator_name(op)));
    all.add(check_operator(*engine, {1, 6, 9, 8}, op, 1));
  }
  CHECK(all.equal_share() > 0.98);
}

TEST_CASE("ONNX Runtime's int8 networks agree with the definition") {
  const auto engine = make_onnxruntime_engine();
  for (const std::string& name : reference_network_names()) {
    CAPTURE(name);
    const Network net = reference_network(name, {32, 3, 10});
    const Model model = test::quantized_model({net, random_weights(net, 3)}, Rng(5));
    const Tensor image = test::random_tensor(net.input_shape(), Rng(6));
    const test::IntegerTensor expected = test::run_integers(model, image).back();
    // Or agreement would mean nothing.
    CHECK(std::set<int8_t>(expected.values.begin(), expected.values.end()).size() > 3);
    const Differences differences = compare(run_int8(*engine, model, image), expected);
    MESSAGE(name, ": at most ", differences.largest, " steps of 255");
    CHECK(differences.largest < 8);
  }
}

TEST_CASE("ONNX Runtime times weights that stand for any, and says that outputs mean nothing") {
  const Network net = reference_network("mobilenet_v2_0.35", {32, 3, 10});
  Model model{net, random_weights(net, 3)};
  model.stand_in_weights = true;
  const auto runnable = make_onnxruntime_engine()->prepare(model, {1, latency::Precision::Int8});
  CHECK_NOTHROW(runnable->run());
  CHECK(test::message_of<EngineError>([&] {
          runnable->read_output();
        }).find("onnxruntime: the model has no weights and no scales") == 0);
}

TEST_CASE("ONNX Runtime refuses what it cannot run by name") {
  const auto engine = make_onnxruntime_engine();
  const Network net = single({1, 3, 6, 5}, Activation{ActivationKind::Sigmoid});
  const Model model{net, {}};
  CHECK_THROWS_WITH_AS(engine->prepare(model, {1, latency::Precision::Fp16}),
                       "onnxruntime: precision = fp16, expected one of: fp32, int8", EngineError);
  CHECK_THROWS_WITH_AS(engine->prepare(model, {1000, latency::Precision::Fp32}),
                       doctest::Contains("onnxruntime: threads = 1000, expected 1 to "),
                       EngineError);
  CHECK_THROWS_WITH_AS(engine->prepare(model, {1, latency::Precision::Int8}),
                       doctest::Contains("onnxruntime: precision = int8, but the model is not"),
                       EngineError);
  std::string onnx = to_onnx(model);
  onnx.replace(onnx.find("Sigmoid"), 7, "Sigmund");
  try {
    const ort::Session session(onnx, 1, net.input_shape(), net.output_shape());
    FAIL("an operator that nobody knows was prepared");
  } catch (const EngineError& error) {
    CHECK(error.kind() == FailureKind::Unsupported);
    const std::string message = error.what();
    CHECK(message.find("onnxruntime: the model cannot be prepared: ") == 0);
    CHECK(message.find("Sigmund") != std::string::npos);
  }
}

TEST_CASE("ONNX Runtime's profile is one operator, the network") {
  const Network net = single({1, 3, 6, 5}, conv(5, 3, 1, 1));
  const auto runnable = make_onnxruntime_engine()->prepare({net, random_weights(net, 1)}, {});
  REQUIRE(runnable->operators().size() == 1);
  CHECK(runnable->operators()[0].op == "network");
  CHECK(runnable->operators()[0].macs == 5 * 3 * 9 * 30);
  std::vector<double> seconds(1, 0.0);
  runnable->run_timed(seconds);
  CHECK(seconds[0] > 0.0);
  std::vector<double> wrong(2, 0.0);
  CHECK_THROWS_WITH_AS(runnable->run_timed(wrong),
                       "OnnxRuntimeRunnable::run_timed: entries = 2, expected 1", InvariantError);
  CHECK_THROWS_WITH_AS(runnable->write_input(std::vector<float>(89)),
                       "OnnxRuntimeRunnable::write_input: values = 89, expected 90",
                       InvariantError);
}
