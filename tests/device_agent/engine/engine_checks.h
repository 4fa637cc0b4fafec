#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/rng.h"
#include "device_agent/engine/engine.h"
#include "network/passes.h"
#include "tests/device_agent/engine/single_operator.h"
#include "tests/support/integer_executor.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"

namespace lathe::device::testing {

/// A model with biases and statistics as after training.
inline network::Model lively_model(const network::Network& net, uint64_t seed) {
  return {net, test::trained_looking_weights(net, Rng(seed))};
}

/// Runs `net` twice on each of two images and compares with run_reference.
inline void check_against_reference(const Engine& engine, const network::Network& net,
                                    uint64_t seed, const EngineOptions& options = {},
                                    double tolerance = 1e-4) {
  const network::Model model = lively_model(net, seed);
  const auto runnable = engine.prepare(model, options);
  for (uint64_t repeat = 0; repeat < 2; ++repeat) {
    const network::Tensor image = test::random_tensor(net.input_shape(), Rng(seed + 1000 + repeat));
    const network::Tensor expected = network::run_reference(model, image);
    runnable->write_input(image.values);
    runnable->run();
    runnable->run();  // finds the first run's leftovers in memory
    CHECK(test::relative_difference(expected, {expected.shape, runnable->read_output()}) <
          tolerance);
  }
}

/// How far results are from the definition, in steps of the output.
struct Differences {
  int64_t values = 0;
  int64_t equal = 0;
  int largest = 0;
  double equal_share() const {
    return values == 0 ? 1.0 : static_cast<double>(equal) / static_cast<double>(values);
  }
  void add(const Differences& other) {
    values += other.values;
    equal += other.equal;
    largest = std::max(largest, other.largest);
  }
};

inline Differences compare(const test::IntegerTensor& got, const test::IntegerTensor& expected) {
  REQUIRE(got.values.size() == expected.values.size());
  Differences differences;
  for (size_t i = 0; i < got.values.size(); ++i) {
    const int steps = std::abs(int{got.values[i]} - int{expected.values[i]});
    ++differences.values;
    if (steps == 0) ++differences.equal;
    differences.largest = std::max(differences.largest, steps);
  }
  return differences;
}

/// Runs a quantised model in int8.
inline test::IntegerTensor run_int8(const Engine& engine, const network::Model& model,
                                    const network::Tensor& image, int threads = 1) {
  const auto runnable = engine.prepare(model, {threads, latency::Precision::Int8});
  runnable->write_input(image.values);
  runnable->run();
  runnable->run();  // finds the first run's leftovers in memory
  const network::TensorScale scale =
      model.quantization->outputs.at(model.network.node(model.network.output()).name);
  test::IntegerTensor result{model.network.output_shape(), {}};
  for (const float value : runnable->read_output()) result.values.push_back(scale.quantize(value));
  return result;
}

/// Every node of a model by the engine, from a network that ends there, against the definition
/// applied to the engine's own results before it: so each operator is judged alone, to one step.
/// Returns the results of all nodes in `outputs`.
inline Differences check_every_node(const Engine& engine, const network::Model& model,
                                    const network::Tensor& image,
                                    std::vector<test::IntegerTensor>& outputs, int threads = 1) {
  Differences differences;
  outputs.clear();
  for (const network::Node& node : model.network.nodes()) {
    network::Model until = model;
    until.network.set_output(node.id);
    CAPTURE(node.name);
    outputs.push_back(run_int8(engine, until, image, threads));
    if (node.inputs.empty()) continue;
    std::vector<const test::IntegerTensor*> inputs;
    for (const network::NodeId id : node.inputs)
      inputs.push_back(&outputs[static_cast<size_t>(id)]);
    const Differences here = compare(outputs.back(), test::run_integer_node(model, node, inputs));
    CHECK(here.largest <= 1);
    differences.add(here);
  }
  return differences;
}

/// The same for a network of one operator.
inline Differences check_operator(const Engine& engine, const network::Shape& shape,
                                  const network::Operator& op, uint64_t seed) {
  const network::Model model =
      test::quantized_model(lively_model(single(shape, op), seed), Rng(seed));
  std::vector<test::IntegerTensor> outputs;
  return check_every_node(engine, model, test::random_tensor(shape, Rng(seed + 1)), outputs);
}

}  // namespace lathe::device::testing
