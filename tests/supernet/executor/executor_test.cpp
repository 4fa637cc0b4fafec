#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "network/passes.h"
#include "supernet/data/batches.h"
#include "supernet/evaluate/extraction.h"
#include "supernet/executor/compute.h"
#include "supernet/executor/executor.h"
#include "supernet/executor/operators.h"
#include "tests/supernet/seeded_tensor.h"
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

TEST_CASE("Pools may be padded by more than half of their window") {
  for (const network::Operator& op :
       {network::Operator(network::MaxPool{3, 2, 2}), network::Operator(network::AveragePool{3, 2, 2})}) {
    network::Network network;
    network.add("flat", network::Flatten{}, {network.add("pool", op, {network.add_input("input", {1, 5, 7, 6})})});
    const network::Model model{network, {}};
    const network::Tensor images = test::random_tensor({2, 5, 7, 6}, Rng(3));
    const network::Tensor got = to_network(model_logits(model, to_torch(images, at::kCPU), 2));
    CHECK(test::relative_difference(got, network::run_reference(model, images)) < 1e-6);
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

TEST_CASE("Batch norm done by a depthwise convolution changes no bit, whoever else reads it") {
  using network::ActivationKind;
  // Two networks that share a stem, whose activation one of them also reads outside the depthwise convolution.
  const auto network_of = [](bool also_elsewhere, ActivationKind activation) {
    network::Network network;
    network::NodeId x = network.add_input("input", {1, 3, 9, 9});
    x = network.add("expand", network::Conv2d{24, 1, 1, 0, 1, false}, {x});
    x = network.add("expand.norm", network::BatchNorm{}, {x});
    const network::NodeId read = network.add("expand.act", network::Activation{ActivationKind::HardSwish}, {x});
    x = network.add("depthwise", network::Conv2d{24, 5, 1, 2, 24, false}, {read});
    x = network.add("depthwise.norm", network::BatchNorm{}, {x});
    x = network.add("depthwise.act", network::Activation{activation}, {x});
    if (also_elsewhere) x = network.add("sum", network::Add{}, {x, read});
    network.add("flat", network::Flatten{}, {network.add("pool", network::GlobalAveragePool{}, {x})});
    return network;
  };
  class Unchanged : public OutputPolicy {  // with a policy that may look at every output nothing is fused
   public:
    at::Tensor run(size_t, const Step&, at::Tensor y) override { return y; }
  } unchanged;
  std::vector<network::Network> networks;
  for (const ActivationKind activation : {ActivationKind::Relu6, ActivationKind::Swish}) {
    for (const bool also_elsewhere : {false, true}) networks.push_back(network_of(also_elsewhere, activation));
  }
  SharedWeights weights(networks, 3, at::kCPU);
  weights.values().copy_(test::normal(weights.values().sizes(), 4, at::kFloat));
  const at::Tensor images = test::normal({5, 3, 9, 9}, 5, at::kFloat);
  at::NoGradGuard no_gradients;
  const auto results_of = [&](const std::vector<const network::Network*>& of, OutputPolicy* outputs) {
    const Plan plan = make_forest(of);
    FrozenSlices slices(weights);
    CollectBatchNorm collect;
    std::vector<at::Tensor> results(2 * of.size());
    Executor(plan, slices, collect, {}, Precision::Fp32, outputs)
        .run(images, [&](size_t n, const at::Tensor& y) { results[n] = y.clone(); });
    RecalibratedBatchNorm given(collect.take());
    Executor(plan, slices, given, {}, Precision::Fp32, outputs).run(images * 0.5, [&](size_t n, const at::Tensor& y) {
      results[of.size() + n] = y.clone();
    });
    return results;
  };
  std::vector<const network::Network*> all;
  for (const network::Network& network : networks) all.push_back(&network);
  const std::vector<at::Tensor> together = results_of(all, nullptr);
  const std::vector<at::Tensor> plain = results_of(all, &unchanged);
  for (size_t n = 0; n < all.size(); ++n) {
    const std::vector<at::Tensor> alone = results_of({all[n]}, nullptr);
    CAPTURE(n);
    CHECK(together[n].equal(plain[n]));
    CHECK(together[n].equal(alone[0]));
    CHECK(together[all.size() + n].equal(plain[all.size() + n]));
    CHECK(together[all.size() + n].equal(alone[1]));
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

TEST_CASE("Drop-connect leaves out whole residual branches at rates that grow with depth") {
  // Four times x + x * 1 on four channels: without noise 16 x.
  network::Network network;
  network::NodeId x = network.add_input("input", {1, 4, 2, 2});
  for (const char* name : {"a", "b", "c", "d"}) {
    const network::NodeId branch =
        network.add(std::string(name) + ".pool", network::MaxPool{1, 1, 0}, {x});
    x = network.add(name, network::Add{}, {branch, x});
  }
  const Plan plan = make_plan(network);
  DoubleParameters parameters;
  TrainBatchNorm policy;
  const at::Tensor images = at::ones({4000, 4, 2, 2});
  const Regularisation noise{0.0, 0.4, 9};
  const at::Tensor y = Executor(plan, parameters, policy, noise).run(images);
  CHECK(y.equal(Executor(plan, parameters, policy, noise).run(images)));
  CHECK_FALSE(y.equal(Executor(plan, parameters, policy, {0.0, 0.4, 10}).run(images)));
  CHECK(y.amax({1, 2, 3}).equal(y.amin({1, 2, 3})));  // an image is left out whole
  // Each sum doubles on average; its variance is keep * (1 / keep)^2 - 1 = 1 / keep - 1.
  CHECK(y.mean().item<double>() == doctest::Approx(16.0).epsilon(0.03));
  const at::Tensor factors = y.select(1, 0).select(1, 0).select(1, 0);
  double all_kept = 1.0;
  double all_dropped = 1.0;
  double product = 1.0;
  for (const double rate : {0.1, 0.2, 0.3, 0.4}) {
    all_kept *= 1.0 - rate;
    all_dropped *= rate;
    product *= 1.0 + 1.0 / (1.0 - rate);
  }
  const auto share = [&](double value) {
    return (factors - value).abs().lt(1e-3).to(at::kDouble).mean().item<double>();
  };
  CHECK(share(product) == doctest::Approx(all_kept).epsilon(0.1));
  CHECK(share(1.0) < 10.0 * all_dropped + 0.002);
  CHECK(Executor(plan, parameters, policy).run(images).eq(16.0).all().item<bool>());
}

TEST_CASE("Dropout hides inputs of the classifier alone") {
  network::Network network;
  const network::NodeId input = network.add_input("input", {1, 64, 1, 1});
  const network::NodeId flat = network.add("flat", network::Flatten{}, {input});
  const network::NodeId hidden = network.add("hidden", network::Linear{64, false}, {flat});
  network.add("classifier", network::Linear{1, false}, {hidden});
  const Plan plan = make_plan(network);
  class Values : public ParameterSource {
   public:
    at::Tensor value(const network::Parameter& parameter) override {
      return parameter.name == "hidden.weight" ? at::eye(64) : at::ones({1, 64});
    }
  } values;
  TrainBatchNorm policy;
  const at::Tensor y = Executor(plan, values, policy, {0.25, 0.0, 5}).run(at::ones({2000, 64, 1, 1}));
  // 64 elements, each 0 or 4 / 3: mean 64, variance 64 * (1 / 0.75 - 1).
  CHECK(y.mean().item<double>() == doctest::Approx(64.0).epsilon(0.01));
  CHECK(y.var().item<double>() == doctest::Approx(64.0 / 3.0).epsilon(0.15));
}

TEST_CASE("Noise is for one network at a time") {
  network::Network network;
  network.add("sum", network::Flatten{}, {network.add_input("input", {1, 1, 1, 1})});
  const Plan forest = make_forest({&network, &network});
  DoubleParameters parameters;
  TrainBatchNorm policy;
  CHECK(test::message_of<InvariantError>([&] { Executor(forest, parameters, policy, {0.5, 0.0, 1}); }) ==
        "executor with dropout: networks = 2, expected 1");
}

TEST_CASE("A part of a batch gets its part of the batch's noise") {
  network::Network network;
  const network::NodeId input = network.add_input("input", {1, 16, 1, 1});
  const network::NodeId branch = network.add("branch", network::MaxPool{1, 1, 0}, {input});
  const network::NodeId sum = network.add("sum", network::Add{}, {branch, input});
  network.add("classifier", network::Linear{3, false}, {network.add("flat", network::Flatten{}, {sum})});
  const Plan plan = make_plan(network);
  DoubleParameters parameters;
  TrainBatchNorm policy;
  const at::Tensor images = at::ones({10, 16, 1, 1}, at::kDouble);
  const at::Tensor whole = Executor(plan, parameters, policy, {0.5, 0.5, 4}).run(images);
  const at::Tensor first = Executor(plan, parameters, policy, {0.5, 0.5, 4, 0, 10}).run(images.narrow(0, 0, 4));
  const at::Tensor last = Executor(plan, parameters, policy, {0.5, 0.5, 4, 4, 10}).run(images.narrow(0, 4, 6));
  CHECK((at::cat({first, last}) - whole).abs().max().item<double>() < 1e-12);
}

TEST_CASE("In bf16 products are rounded, and results, gradients and depthwise convolutions stay float") {
  try {
    require_precision(Precision::Bf16, at::kCPU);
  } catch (const ConfigError& error) {
    CHECK(std::string(error.what()) == "/supernet/precision = bf16, expected fp32: this CPU has no bf16");
    return;
  }
  network::Network network;
  network::NodeId x = network.add_input("input", {1, 8, 9, 9});
  x = network.add("conv", network::Conv2d{16, 3, 1, 1, 1, false}, {x});
  x = network.add("depthwise", network::Conv2d{16, 3, 1, 1, 16, false}, {x});
  x = network.add("pool", network::GlobalAveragePool{}, {x});
  x = network.add("flat", network::Flatten{}, {x});
  network.add("classifier", network::Linear{5, true}, {x});
  const Plan plan = make_plan(network);
  SharedWeights weights({network}, 3, at::kCPU);
  TrainBatchNorm policy;
  at::Generator generator = at::detail::createCPUGenerator(6);
  const at::Tensor images = at::randn({4, 8, 9, 9}, generator);
  const auto pass = [&](Precision precision) {
    TrainableSlices slices(weights);
    const at::Tensor y = Executor(plan, slices, policy, {}, precision).run(images);
    CHECK((y.scalar_type() == at::kFloat));
    y.square().sum().backward();
    return std::make_pair(y.detach(), slices.flat_gradients());
  };
  const auto [exact, exact_gradients] = pass(Precision::Fp32);
  const auto [rounded, rounded_gradients] = pass(Precision::Bf16);
  CHECK((rounded_gradients.scalar_type() == at::kFloat));
  // bf16 has eight bits: relative errors of a few of their last ones, and not none.
  CHECK((rounded - exact).norm().item<double>() < 0.02 * exact.norm().item<double>());
  CHECK((rounded_gradients - exact_gradients).norm().item<double>() <
        0.03 * exact_gradients.norm().item<double>());
  CHECK_FALSE(rounded.equal(exact));
  std::vector<at::Tensor> depthwise = {at::ones({16, 1, 3, 3})};
  CHECK_FALSE(multiplies_in_low_precision(network::Conv2d{16, 3, 1, 1, 16, false}, depthwise));
}
