#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>

#include "network/passes.h"
#include "network/quantized_executor.h"
#include "supernet/compress/calibration.h"
#include "supernet/compress/fake_quantize.h"
#include "supernet/compress/folded_parameters.h"
#include "supernet/compress/quantize_model.h"
#include "supernet/compress/sensitivity.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using network::Tensor;
using test::message_of;

namespace {

/// Bar images as a split.
Batches bars(int64_t count, uint64_t seed) {
  const std::vector<uint8_t> labels = test::bar_labels(count);
  ImageSet set({1, 12, 12}, test::bar_images(count, 12, Rng(seed)), {labels.begin(), labels.end()});
  DatasetInfo info;
  info.mean = {0.3};
  info.standard_deviation = {0.25};
  return {std::move(set), info, at::kCPU};
}

/// stem -> expand -> depthwise -> project with a shortcut -> mean -> classifier, batch norms apart.
network::Model block_model(network::ActivationKind kind) {
  using namespace network;
  Model model;
  Network& net = model.network;
  const auto conv = [&](const std::string& name, NodeId from, int64_t out, int64_t kernel,
                        int64_t groups, int64_t stride) {
    Conv2d op;
    op.out_channels = out;
    op.kernel = kernel;
    op.padding = kernel / 2;
    op.groups = groups;
    op.stride = stride;
    return net.add(name + ".norm", BatchNorm{}, {net.add(name, op, {from})});
  };
  const NodeId image = net.add_input("image", {1, 1, 12, 12});
  const NodeId stem = net.add("stem.act", Activation{kind}, {conv("stem", image, 8, 3, 1, 2)});
  const NodeId wide = net.add("expand.act", Activation{kind}, {conv("expand", stem, 16, 1, 1, 1)});
  const NodeId deep =
      net.add("depthwise.act", Activation{kind}, {conv("depthwise", wide, 16, 3, 16, 1)});
  const NodeId sum = net.add("sum", Add{}, {conv("project", deep, 8, 1, 1, 1), stem});
  const NodeId flat = net.add("flat", Flatten{}, {net.add("mean", GlobalAveragePool{}, {sum})});
  net.add("classifier", Linear{10, true}, {flat});
  model.weights = test::trained_looking_weights(net, Rng(5));
  return model;
}

Tensor logits_of(const network::Model& model, const at::Tensor& images) {
  return to_network(ModelExecutor(model, at::kCPU).run(images));
}

}  // namespace

TEST_CASE("Rounded execution is exact integer arithmetic but for the order of sums") {
  const Rng root(61);
  int64_t equal = 0;
  int64_t values = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    CAPTURE(i);
    const network::Model plain = test::random_model(root.derive("model", i));
    const network::Model model = i % 2 == 0
                                     ? test::quantized_model(plain, root.derive("images", i))
                                     : test::mixed_model(plain, 0.3, root.derive("images", i));
    network::Shape shape = model.network.input_shape();
    shape[0] = 2;
    const Tensor images = test::random_tensor(shape, root.derive("images", i));
    const Tensor exact = network::run_quantized(model, images);
    const Tensor rounded = logits_of(model, to_torch(images, at::kCPU));
    REQUIRE(rounded.shape == exact.shape);
    const auto found =
        model.quantization->outputs.find(model.network.node(model.network.output()).name);
    const bool integers = found != model.quantization->outputs.end();
    for (size_t k = 0; k < exact.values.size(); ++k) {
      const double value{exact.values[k]};
      const double near =
          integers ? 0.5 * double{found->second.scale} : 1e-3 * std::max(1.0, std::abs(value));
      ++values;
      if (std::abs(value - double{rounded.values[k]}) < near) ++equal;
    }
  }
  MESSAGE("equal: ", equal, " of ", values);
  CHECK(static_cast<double>(equal) > 0.9 * static_cast<double>(values));
}

TEST_CASE("fake_quantize rounds as TensorScale does, and its gradients are those of LSQ") {
  const network::TensorScale scale{0.5F, -100};
  const at::Tensor x = at::tensor({0.3F, -20.0F, 1.3F, 200.0F, -14.0F, 0.0F}).view({1, 6});
  const at::Tensor leaf = x.clone().set_requires_grad(true);
  const at::Tensor step = at::full({1}, 0.5F).set_requires_grad(true);
  const at::Tensor y = fake_quantize(leaf, step, scale.zero_point);
  for (int64_t i = 0; i < 6; ++i) {
    const auto value = x[0][i].item<float>();
    CHECK(y[0][i].item<float>() == scale.dequantize(scale.quantize(value)));
  }
  const at::Tensor slope = at::tensor({1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F}).view({1, 6});
  backward((y * slope).sum());
  // Steps from zero lie in [-28, 227]: -20 / 0.5 and 200 / 0.5 are cut off.
  const at::Tensor expected = at::tensor({1.0F, 0.0F, 3.0F, 0.0F, 5.0F, 6.0F}).view({1, 6});
  CHECK(at::equal(leaf.grad(), expected));
  const double sum = 1.0 * (1.0 - 0.6) + 2.0 * -28.0 + 3.0 * (3.0 - 2.6) + 4.0 * 227.0;
  CHECK(step.grad().item<double>() == doctest::Approx(sum / std::sqrt(6.0 * 255.0)));
}

TEST_CASE("Weights are rounded as quantize() rounds them; binary ones are sign and mean") {
  const Tensor weight = test::random_tensor({4, 3, 3, 3}, Rng(7));
  const at::Tensor leaf = to_torch(weight, at::kCPU).set_requires_grad(true);
  const at::Tensor scales = channel_scales(leaf);
  const std::vector<float> expected = network::weight_scales(weight, nullptr, 1.0F);
  const std::vector<int8_t> integers = network::quantized_weight(weight, expected);
  const Tensor rounded = to_network(fake_quantize_weight(leaf, scales));
  for (size_t i = 0; i < integers.size(); ++i) {
    CHECK(rounded.values[i] ==
          doctest::Approx(static_cast<float>(integers[i]) * expected[i / 27]).epsilon(1e-6));
  }
  backward((fake_quantize_weight(leaf, scales) * 2.0).sum());
  CHECK(at::equal(leaf.grad(), at::full({4, 3, 3, 3}, 2.0F)));
  const at::Tensor two = at::tensor({1.0F, -3.0F, 0.0F, 0.5F}).view({2, 2});
  const at::Tensor binary = fake_binary_weight(two, binary_scales(two));
  CHECK(at::equal(binary, at::tensor({2.0F, -2.0F, 0.25F, 0.25F}).view({2, 2})));
}

TEST_CASE("Folded parameters are those of the deployed model, and learn through the fold") {
  const network::Model start = block_model(network::ActivationKind::Relu6);
  const network::Model deployed = network::quantizable(start);
  std::map<std::string, WeightRounding> floats;
  for (const std::string& name : layer_names(deployed.network))
    floats[name] = WeightRounding::Float;
  const FoldedParameters::Layout layout(start, deployed.network, floats, at::kCPU);
  SharedWeights weights({start.network}, 1, at::kCPU);
  weights.load(start.weights);
  FoldedParameters folded(layout, weights);
  at::Tensor loss = at::zeros({});
  for (const network::Node& node : deployed.network.nodes()) {
    for (const network::Parameter& parameter : node.parameters) {
      const at::Tensor value = folded.value(parameter);
      CHECK(test::relative_difference(to_network(value), deployed.weights.at(parameter.name)) <
            1e-5);
      loss = loss + value.sum();
    }
  }
  backward(loss);
  folded.add_gradients();
  CHECK(weights.gradients().abs().gt(0.0).sum().item<int64_t>() == weights.gradients().numel());
}

TEST_CASE("A batch norm that cannot be folded is refused by name") {
  network::Model model;
  const auto image = model.network.add_input("image", {1, 2, 4, 4});
  model.network.add("norm", network::BatchNorm{}, {image});
  model.weights = network::random_weights(model.network, 1);
  CHECK(message_of<ConfigError>(
            [&] { FoldedParameters::Layout(model, model.network, {}, at::kCPU); }) ==
        "compress: quantize: training: batch_norm norm follows no convolution of its own, expected "
        "only ones that can be folded");
}

TEST_CASE("Ranges are those that the reference sees on the calibration images") {
  const network::Model exact =
      network::quantizable(block_model(network::ActivationKind::HardSwish));
  const Batches split = bars(40, 3);
  const CalibrationImages images(split, 25, 10);
  CHECK(images.size() == 25);
  const auto ranges = collect_ranges(exact, images, {network::RangeMethod::MinMax}, at::kCPU);
  const auto expected = network::observe_ranges(exact, to_network(images.first(25)));
  REQUIRE(ranges.size() == expected.size());
  for (const auto& [node, range] : expected) {
    CAPTURE(node);
    CHECK(ranges.at(node).low == doctest::Approx(std::min(range.low, 0.0F)).epsilon(1e-4));
    CHECK(ranges.at(node).high == doctest::Approx(std::max(range.high, 0.0F)).epsilon(1e-4));
  }
}

TEST_CASE("Corrected biases take the mean error out of the logits") {
  const network::Model exact = network::quantizable(block_model(network::ActivationKind::Relu));
  const Batches split = bars(60, 3);
  const CalibrationImages images(split, 60, 20);
  const auto ranges = collect_ranges(exact, images, {network::RangeMethod::MinMax}, at::kCPU);
  network::QuantizeOptions rounding;
  // Coarse scales, so that there is an error to speak of.
  for (const std::string& name : layer_names(exact.network)) {
    auto scales = network::weight_scales(exact.weights.at(name + ".weight"), nullptr, 1.0F);
    for (float& scale : scales) scale *= 12.0F;
    rounding.weight_scales[name + ".weight"] = scales;
  }
  network::Model rounded = network::quantize(exact, ranges, rounding);
  const auto mean_error = [&](const network::Model& model) {
    const at::Tensor batch = images.first(60);
    const at::Tensor difference =
        to_torch(logits_of(model, batch), at::kCPU) - to_torch(logits_of(exact, batch), at::kCPU);
    return difference.mean(0).abs().max().item<double>();
  };
  const double before = mean_error(rounded);
  correct_biases(rounded, exact, images, at::kCPU);
  CHECK(network::quantization_fault(rounded).empty());
  CHECK(mean_error(rounded) < 0.2 * before);
}

TEST_CASE("The layer that int8 hurts most is found, and kept in fp32 when asked") {
  network::Model model = block_model(network::ActivationKind::Relu);
  // A channel that is always zero has weights so far away that all others are rounded to little.
  model.weights.at("depthwise.norm.gamma").values[0] = 0.0F;
  model.weights.at("depthwise.norm.beta").values[0] = -1.0F;
  for (size_t c = 0; c < 8; ++c) model.weights.at("project.weight").values[c * 16] = 300.0F;
  const Batches split = bars(100, 3);
  const CalibrationImages images(split, 50, 25);
  const network::Model exact = network::quantizable(model);
  const auto ranges = collect_ranges(exact, images, {network::RangeMethod::MinMax}, at::kCPU);
  const auto table = layer_sensitivities(exact, ranges, {}, images, 50, at::kCPU);
  REQUIRE(table.size() == 5);
  CHECK(table[2].op == "conv2d");
  CHECK(table[2].weights == 16 * 9);
  for (const LayerSensitivity& layer : table) {
    CAPTURE(layer.node);
    CHECK(layer.sqnr_db > 0.0);
    if (layer.node != "project") CHECK(layer.sqnr_db > table[3].sqnr_db + 6.0);
  }
}

namespace {

/// Nothing once `stop` has answered true.
std::optional<QuantizedModel> quantized_until(const network::Model& model, const Batches& data,
                                              const QuantizeOptions& options, const std::function<bool()>& stop) {
  const test::TemporaryFolder folder;
  const SupernetOptions supernet = test::tiny_options(folder.path());
  return quantize_model(model, nullptr, {data, data, data, {{"dataset", "bars"}}}, options, supernet, at::kCPU,
                        no_progress(), stop);
}

QuantizedModel quantized(const network::Model& model, const Batches& data,
                         const QuantizeOptions& options) {
  return *quantized_until(model, data, options, [] { return false; });
}

}  // namespace

TEST_CASE("quantize_model keeps layers in fp32 until the loss is within its bound") {
  const network::Model model = block_model(network::ActivationKind::Relu);
  const Batches data = bars(200, 3);
  QuantizeOptions options;
  options.max_loss = -1.0;  // out of reach
  options.float_layers = 2;
  const QuantizedModel two = quantized(model, data, options);
  std::vector<const LayerSensitivity*> floats;
  for (const LayerSensitivity& layer : two.report.layers) {
    if (layer.is_float) floats.push_back(&layer);
  }
  REQUIRE(floats.size() == 2);
  for (const LayerSensitivity& layer : two.report.layers) {
    if (layer.is_float) continue;
    for (const LayerSensitivity* each : floats) CHECK(each->sqnr_db <= layer.sqnr_db);
  }
  for (const LayerSensitivity* each : floats) {
    CHECK(two.model.quantization->weights.count(each->node + ".weight") == 0);
  }
  CHECK(two.model.quantization->weights.size() == 3);
  options.max_loss = 1.0;
  CHECK(quantized(model, data, options).model.quantization->weights.size() == 5);
}

TEST_CASE("Training in int8 improves a badly rounded model, and its report is of exact integers") {
  for (const bool equalize : {false, true}) {
    CAPTURE(equalize);
    const Batches data = bars(400, 3);
    QuantizeOptions options;
    options.equalize = equalize;
    options.training.epochs = 15;
    options.training.learning_rate = 0.05;
    const network::Model model = block_model(network::ActivationKind::Relu);  // knows nothing yet
    const QuantizedModel trained = quantized(model, data, options);
    CHECK(trained.report.is_trained);
    CHECK(trained.report.trained.top1 > trained.report.calibrated.top1 + 0.1);
    CHECK(trained.report.after.top1 == trained.report.trained.top1);
    CHECK((trained.report.equalized_pairs > 0) == equalize);
    const Batch batch = data.range(0, 100);
    const at::Tensor exact =
        to_torch(network::run_quantized(trained.model, to_network(batch.images)), at::kCPU);
    const at::Tensor simulated = ModelExecutor(trained.model, at::kCPU).run(batch.images);
    CHECK(exact.argmax(1).eq(simulated.argmax(1)).sum().item<int64_t>() >= 99);
    const auto right = exact.argmax(1).eq(batch.labels).sum().item<double>();
    CHECK(std::abs(right / 100.0 - trained.report.after.top1) < 0.15);
  }
}

TEST_CASE("Training in int8 that was stopped goes on bit by bit") {
  const Batches data = bars(400, 3);
  const network::Model model = block_model(network::ActivationKind::Relu);
  QuantizeOptions options;
  options.training.epochs = 4;
  options.training.learning_rate = 0.05;
  const QuantizedModel whole = quantized(model, data, options);
  const test::TemporaryFolder folder;
  options.training.folder = folder.path();
  int steps = 0;
  CHECK_FALSE(quantized_until(model, data, options, [&] { return ++steps > 7; }).has_value());
  const auto files = [&] {
    return std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator());
  };
  CHECK(files() == 1);
  // Another rate is another training, with a file of its own.
  QuantizeOptions other = options;
  other.training.learning_rate = 0.02;
  CHECK_FALSE(quantized_until(model, data, other, [] { return true; }).has_value());
  CHECK(files() == 2);
  int more = 0;
  const auto resumed = quantized_until(model, data, options, [&] {
    ++more;
    return false;
  });
  REQUIRE(resumed.has_value());
  CHECK(more == 4 * (400 / 32) - 7);  // it did not begin again
  for (const auto& [name, tensor] : whole.model.weights) {
    CAPTURE(name);
    CHECK(resumed->model.weights.at(name).values == tensor.values);
  }
  for (const auto& [name, scale] : whole.model.quantization->outputs) {
    CAPTURE(name);
    CHECK(resumed->model.quantization->outputs.at(name).scale == scale.scale);
  }
}

TEST_CASE("Binary weights are plus and minus one, but for the first and the last layer") {
  const Batches data = bars(400, 3);
  QuantizeOptions options;
  options.training.epochs = 1;
  options.training.binary_weights = true;
  const network::Model model =
      quantized(block_model(network::ActivationKind::Relu), data, options).model;
  for (const std::string& name : layer_names(model.network)) {
    CAPTURE(name);
    const std::string parameter = name + ".weight";
    const auto integers = network::quantized_weight(model.weights.at(parameter),
                                                    model.quantization->weights.at(parameter));
    const bool outer = name == "stem" || name == "classifier";
    const bool binary = std::all_of(integers.begin(), integers.end(),
                                    [](int8_t value) { return value == 1 || value == -1; });
    CHECK(binary == !outer);
  }
  options.training.epochs = 0;
  CHECK(message_of<ConfigError>([&] {
          quantized(block_model(network::ActivationKind::Relu), data, options);
        }) == "quantize: binary weights without training epochs, expected some");
  CHECK(message_of<ConfigError>([&] { quantized(model, data, {}); }) ==
        "quantize: the model is quantised, expected a float one");
}
