#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "network/passes.h"
#include "supernet/data/batches.h"
#include "supernet/evaluate/extraction.h"
#include "supernet/executor/executor.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

/// Double parameters with gradients, drawn by name, for gradient checks.
class DoubleParameters : public ParameterSource {
 public:
  at::Tensor value(const network::Parameter& parameter) override {
    at::Tensor& held = values_[parameter.name];
    if (!held.defined()) {
      at::Generator generator = at::detail::createCPUGenerator(stable_hash(parameter.name));
      held = (at::randn(parameter.shape, generator, at::kDouble) * 0.5 + 0.2).requires_grad_(true);
    }
    return held;
  }
  std::map<std::string, at::Tensor>& values() { return values_; }

 private:
  std::map<std::string, at::Tensor> values_;
};

}  // namespace

TEST_CASE("The executor agrees with the reference on random networks of every operator") {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const Rng rng = Rng(100).derive("network", seed);
    const network::Model model = test::random_model(rng);
    network::Shape shape = model.network.input_shape();
    shape[0] = 3;
    const network::Tensor images = test::random_tensor(shape, rng.derive("images"));
    const network::Tensor expected = network::run_reference(model, images);
    const network::Tensor got = to_network(model_logits(model, to_torch(images, at::kCPU), 2));
    CAPTURE(seed);
    CHECK(test::relative_difference(got, expected) < 2e-4);
  }
}

TEST_CASE("Overwriting dead results without gradients changes nothing") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Rng rng = Rng(200).derive("network", seed);
    const network::Model model = test::random_model(rng);
    const Plan plan = make_plan(model.network);
    ModelParameters parameters(model.weights, at::kCPU);
    StoredBatchNorm policy;
    const Executor executor(plan, parameters, policy);
    const at::Tensor images = to_torch(test::random_tensor(model.network.input_shape(), rng.derive("images")), at::kCPU);
    const at::Tensor before = images.clone();
    const at::Tensor kept = executor.run(images);
    at::NoGradGuard no_gradients;
    CAPTURE(seed);
    CHECK(executor.run(images).equal(kept));
    CHECK(images.equal(before));
  }
}

TEST_CASE("Gradients of random networks in training mode agree with finite differences") {
  int checked = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const network::Network network = test::random_network(Rng(300).derive("network", seed));
    if (network.output_shape().size() != 2) continue;
    const Plan plan = make_plan(network);
    DoubleParameters parameters;
    TrainBatchNorm policy;
    at::Generator generator = at::detail::createCPUGenerator(seed);
    network::Shape shape = network.input_shape();
    shape[0] = 5;
    const at::Tensor images = at::randn(shape, generator, at::kDouble);
    const Executor executor(plan, parameters, policy);
    const at::Tensor along = at::randn({5, network.output_shape()[1]}, generator, at::kDouble);
    const auto loss = [&] { return (executor.run(images) * along).sum(); };
    loss().backward();
    at::NoGradGuard no_gradients;
    std::map<std::string, at::Tensor> directions;
    double expected = 0.0;
    for (auto& [name, value] : parameters.values()) {
      directions[name] = at::randn(value.sizes(), generator, at::kDouble);
      if (value.grad().defined()) expected += (value.grad() * directions[name]).sum().item<double>();
    }
    const double h = 1e-6;
    const auto move = [&](double by) {
      for (auto& [name, value] : parameters.values()) value.add_(directions[name], by);
    };
    move(h);
    const double above = loss().item<double>();
    move(-2.0 * h);
    const double below = loss().item<double>();
    CAPTURE(seed);
    const double scale = std::max(1.0, std::abs(expected));
    CHECK(std::abs((above - below) / (2.0 * h) - expected) / scale < 2e-4);
    ++checked;
  }
  CHECK(checked > 25);
}

TEST_CASE("A one-channel input leaves the stem with channels innermost") {
  network::Network network;
  network::Conv2d stem;
  stem.out_channels = 16;
  stem.kernel = 3;
  stem.padding = 1;
  network.add("stem", stem, {network.add_input("input", {1, 1, 8, 8})});
  const network::Model model{network, network::random_weights(network, 1)};
  const at::Tensor y = model_logits(model, at::ones({4, 1, 8, 8}), 4);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK_FALSE(y.is_contiguous());
}

TEST_CASE("The executor resamples images to the network's resolution") {
  network::Network network;
  const auto input = network.add_input("input", {1, 1, 2, 2});
  network.add("flatten", network::Flatten{}, {input});
  const at::Tensor images = at::arange(16, at::kFloat).view({1, 1, 4, 4});
  const at::Tensor y = model_logits({network, {}}, images, 1);
  CHECK(y.equal(at::tensor({2.5F, 4.5F, 10.5F, 12.5F}).view({1, 4})));
}

TEST_CASE("The executor says what is missing") {
  network::Network network;
  network.add("norm", network::BatchNorm{}, {network.add_input("input", {1, 2, 3, 3})});
  network::Weights weights = network::random_weights(network, 1);
  const Plan plan = make_plan(network);
  ModelParameters parameters(weights, at::kCPU);
  RecalibratedBatchNorm empty({});
  at::NoGradGuard no_gradients;
  CHECK(test::message_of<InvariantError>([&] { Executor(plan, parameters, empty).run(at::ones({1, 2, 3, 3})); }) ==
        "batch norm norm: it was not recalibrated");
  weights["norm.gamma"].shape = {1, 2};
  ModelParameters wrong(weights, at::kCPU);
  CHECK(test::message_of<InvariantError>([&] { Executor(plan, wrong, empty); }) ==
        "model parameter norm.gamma: shape = [1, 2], expected [2]");
  weights.erase("norm.gamma");
  ModelParameters missing(weights, at::kCPU);
  CHECK(test::message_of<InvariantError>([&] { Executor(plan, missing, empty); }) ==
        "model parameter norm.gamma: there is none");
}
