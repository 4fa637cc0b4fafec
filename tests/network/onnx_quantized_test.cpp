#include <doctest/doctest.h>

#include <algorithm>

#include "network/architecture_json.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/passes.h"
#include "network/quantize.h"
#include "network/reference_networks.h"
#include "tests/network/onnx_text.h"
#include "tests/support/message_of.h"
#include "tests/support/quantized_model.h"

namespace lathe::network {
namespace {

using namespace test;

void check_same(const Model& read, const Model& written) {
  CHECK(to_json(read.network) == to_json(written.network));
  REQUIRE(read.quantization);
  CHECK(read.quantization->outputs == written.quantization->outputs);
  CHECK(read.quantization->weights == written.quantization->weights);
  REQUIRE(read.weights.size() == written.weights.size());
  for (const auto& [name, tensor] : written.weights) {
    CAPTURE(name);
    REQUIRE(read.weights.count(name) == 1);
    const Tensor& same = read.weights.at(name);
    REQUIRE(same.shape == tensor.shape);
    const bool bias = name.size() > 5 && name.substr(name.size() - 5) == ".bias";
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      if (!bias) REQUIRE(same.values[i] == tensor.values[i]);
      // The file's bias scale is a float product: one rounding more.
      if (bias) REQUIRE(same.values[i] == doctest::Approx(tensor.values[i]).epsilon(1e-6));
    }
  }
}

TEST_CASE("Quantised models survive ONNX") {
  const Rng root(51);
  for (uint64_t i = 0; i < 150; ++i) {
    CAPTURE(i);
    const Model model =
        quantized_model(random_model(root.derive("model", i)), root.derive("images", i));
    OnnxExportOptions options;
    options.dynamic_batch = i % 2 == 1;
    const std::string bytes = to_onnx(model, options);
    CHECK_NOTHROW(check_onnx(bytes));
    check_same(import_onnx(bytes), model);
    CHECK(to_onnx(import_onnx(bytes), options) == bytes);
  }
}

TEST_CASE("A quantised network is a quarter of the float one's size") {
  const Network network = reference_network("mobilenet_v2_0.35", {64, 3, 10});
  const Model model{network, random_weights(network, 4)};
  const Model small = quantize_nominally(model);
  const std::string bytes = to_onnx(small);
  CHECK_NOTHROW(check_onnx(bytes));
  check_same(import_onnx(bytes), small);
  CHECK(static_cast<double>(bytes.size()) < 0.4 * static_cast<double>(to_onnx(model).size()));
}

TEST_CASE("Export refuses a layer of integers whose output has none") {
  Model model;
  Conv2d op;
  op.out_channels = 2;
  model.network.add("conv", op, {model.network.add_input("input", {1, 3, 8, 8})});
  model.weights = random_weights(model.network, 1);
  model.quantization.emplace();
  model.quantization->outputs["input"] = {};
  model.quantization->weights["conv.weight"] = {0.01F, 0.01F};
  CHECK(message_of<InvariantError>([&] { to_onnx(model); }) ==
        "onnx lathe: conv2d conv: its output is not quantised");
}

TEST_CASE("Float islands survive ONNX") {
  const Rng root(53);
  size_t islands = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    CAPTURE(i);
    const Model model =
        mixed_model(random_model(root.derive("model", i)), 0.4, root.derive("layers", i));
    if (model.quantization->outputs.empty()) continue;  // all layers were drawn
    islands += float_nodes(model.network, *model.quantization).size();
    const std::string bytes = to_onnx(model);
    CHECK_NOTHROW(check_onnx(bytes));
    check_same(import_onnx(bytes), model);
  }
  CHECK(islands > 100);
}

// Files as others write them, and as nobody should.

std::string integers(const std::string& name, const std::string& type,
                     const std::vector<int64_t>& shape, const std::vector<int64_t>& values) {
  const std::map<std::string, int> types = {{"INT8", 3}, {"UINT8", 2}, {"INT32", 6}};
  std::string text =
      "initializer { name: '" + name + "' data_type: " + std::to_string(types.at(type)) + " ";
  for (const int64_t size : shape) text += "dims: " + std::to_string(size) + " ";
  for (const int64_t value : values) text += "int32_data: " + std::to_string(value) + " ";
  return text + "} ";
}

std::string scalar(const std::string& name, float value) { return floats(name, {}, {value}); }

std::string quantize_node(const std::string& from, const std::string& to,
                          const std::string& scale) {
  return onnx_node("QuantizeLinear", from + " " + scale + " " + scale + "_zero", to);
}
std::string dequantize_node(const std::string& from, const std::string& to,
                            const std::string& scale, const std::string& attributes = "") {
  return onnx_node("DequantizeLinear", from + " " + scale + " " + scale + "_zero", to, attributes);
}

/// The parts of x -> Conv 1x1 (2 channels) -> y, each of which a case can replace.
struct QuantizedConv {
  std::string scales = scalar("sx", 0.05F) + integers("sx_zero", "INT8", {}, {3}) +
                       scalar("sy", 0.1F) + integers("sy_zero", "INT8", {}, {-128});
  std::string weight = integers("w", "INT8", {2, 4, 1, 1}, {127, 0, -127, 1, 2, 3, 4, 5}) +
                       floats("sw", {2}, {0.01F, 0.02F}) + integers("sw_zero", "INT8", {2}, {0, 0});
  std::string bias = integers("b", "INT32", {2}, {100, -7}) + floats("sb", {2}, {0.0005F, 0.001F}) +
                     integers("sb_zero", "INT32", {2}, {0, 0});
  std::string input = quantize_node("x", "xq", "sx") + dequantize_node("xq", "xf", "sx");
  std::string parameters = dequantize_node("w", "wf", "sw", attribute("axis", 0)) +
                           dequantize_node("b", "bf", "sb", attribute("axis", 0));
  std::string conv = onnx_node("Conv", "xf wf bf", "c");
  std::string output = quantize_node("c", "cq", "sy") + dequantize_node("cq", "y", "sy");
  std::string bytes() const {
    return onnx_graph(scales + weight + bias + input + parameters + conv + output);
  }
};

TEST_CASE("Import reads a quantised convolution as integers") {
  const Model model = import_onnx(QuantizedConv().bytes());
  REQUIRE(model.quantization);
  CHECK(model.network.nodes().size() == 2);
  const auto& outputs = model.quantization->outputs;
  CHECK(outputs.at("x") == TensorScale{0.05F, 3});
  CHECK(outputs.at("c") == TensorScale{0.1F, -128});
  const Node& conv = model.network.nodes()[1];
  const std::string weight = conv.parameters[0].name;
  CHECK(model.quantization->weights.at(weight) == std::vector<float>{0.01F, 0.02F});
  CHECK(quantized_weight(model.weights.at(weight), model.quantization->weights.at(weight)) ==
        std::vector<int8_t>{127, 0, -127, 1, 2, 3, 4, 5});
  CHECK(quantized_bias(model.weights.at(conv.parameters[1].name), 0.05F, {0.01F, 0.02F}) ==
        std::vector<int32_t>{100, -7});
}

TEST_CASE("Import reads other exporters' spellings") {
  {
    QuantizedConv one;  // one scale for the whole weight, uint8 activations
    one.scales = scalar("sx", 0.05F) + integers("sx_zero", "UINT8", {}, {131}) +
                 scalar("sy", 0.1F) + integers("sy_zero", "UINT8", {1}, {0});
    one.weight = integers("w", "INT8", {2, 4, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}) +
                 scalar("sw", 0.01F) + integers("sw_zero", "INT8", {}, {0});
    one.bias = integers("b", "INT32", {2}, {100, -7}) + scalar("sb", 0.0005F) +
               integers("sb_zero", "INT32", {}, {0});
    const Model model = import_onnx(one.bytes());
    CHECK(model.quantization->outputs.at("x") == TensorScale{0.05F, 3});
    CHECK(model.quantization->outputs.at("c") == TensorScale{0.1F, -128});
    CHECK(model.quantization->weights.begin()->second == std::vector<float>{0.01F, 0.01F});
  }
  {
    QuantizedConv relu;  // the clamp belongs to the convolution, whatever it is called
    relu.conv += onnx_node("Relu", "c", "r");
    relu.output = quantize_node("r", "rq", "sy") + dequantize_node("rq", "y", "sy");
    const Model model = import_onnx(relu.bytes());
    CHECK(model.network.nodes().size() == 2);
    CHECK(std::get<Conv2d>(model.network.nodes()[1].op).activation == ActivationKind::Relu);
  }
  {
    QuantizedConv named;  // other names of what is rounded, and of what will be
    named.conv += onnx_node("Identity", "c", "same");
    named.output = quantize_node("same", "cq", "sy") + dequantize_node("cq", "d", "sy") +
                   onnx_node("Identity", "d", "e") + onnx_node("Flatten", "e", "y");
    CHECK(import_onnx(named.bytes()).quantization->outputs.at("c") == TensorScale{0.1F, -128});
  }
  {
    QuantizedConv flat;  // no integers of its own behind Flatten
    flat.output = quantize_node("c", "cq", "sy") + dequantize_node("cq", "d", "sy") +
                  onnx_node("Flatten", "d", "y");
    const Model model = import_onnx(flat.bytes());
    CHECK(model.quantization->outputs.at("y") == TensorScale{0.1F, -128});
  }
  {
    QuantizedConv product;  // MatMul holds [in, out]
    product.conv = onnx_node("GlobalAveragePool", "xf", "p") + quantize_node("p", "pq", "sx") +
                   dequantize_node("pq", "pf", "sx") + onnx_node("Flatten", "pf", "f") +
                   onnx_node("MatMul", "f wf", "m") + onnx_node("Add", "m bf", "c");
    product.weight = integers("w", "INT8", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}) +
                     floats("sw", {2}, {0.01F, 0.02F}) + integers("sw_zero", "INT8", {2}, {0, 0});
    product.parameters = dequantize_node("w", "wf", "sw", attribute("axis", 1)) +
                         dequantize_node("b", "bf", "sb", attribute("axis", 0));
    const Model model = import_onnx(product.bytes());
    const Node& linear = model.network.nodes().back();
    CHECK(std::holds_alternative<Linear>(linear.op));
    const std::string weight = linear.parameters[0].name;
    CHECK(quantized_weight(model.weights.at(weight), model.quantization->weights.at(weight)) ==
          std::vector<int8_t>{1, 3, 5, 7, 2, 4, 6, 8});
  }
}

TEST_CASE("Import refuses quantised files that it does not understand, and says where") {
  const auto refused = [](const auto& change) {
    QuantizedConv conv;
    change(conv);
    return message_of<DataError>([&] { import_onnx(conv.bytes()); });
  };
  using Conv = QuantizedConv;
  const std::string old_sy = scalar("sy", 0.1F) + integers("sy_zero", "INT8", {}, {-128});
  const auto with_sy = [&](const std::string& sy) {
    return refused([&](Conv& c) { c.scales.replace(c.scales.find(old_sy), old_sy.size(), sy); });
  };
  CHECK(with_sy(scalar("sy", 0.0F) + integers("sy_zero", "INT8", {}, {0})) ==
        "QuantizeLinear cq: scale = 0.000000, expected a positive number");
  CHECK(with_sy(floats("sy", {2}, {0.1F, 0.2F}) + integers("sy_zero", "INT8", {2}, {0, 0})) ==
        "QuantizeLinear cq: 2 scales, expected one for the whole tensor");
  CHECK(with_sy(floats("sy", {1, 1}, {0.1F}) + integers("sy_zero", "INT8", {}, {0})) ==
        "QuantizeLinear cq: scale [1, 1], expected one number or one a channel");
  CHECK(with_sy(scalar("sy", 0.1F) + integers("sy_zero", "INT32", {}, {0})) ==
        "QuantizeLinear cq: zero point of type INT32, expected INT8 or UINT8");
  CHECK(with_sy(scalar("sy", 0.1F) + integers("sy_zero", "INT8", {2}, {0, 0})) ==
        "QuantizeLinear cq: 2 zero points, expected one");
  CHECK(refused([](Conv& c) { c.output = onnx_node("Relu", "c", "y"); }) ==
        "onnx: conv2d c: its output is not quantised");
  CHECK(refused([](Conv& c) { c.conv += onnx_node("Relu", "c", "other"); }) ==
        "Relu other: input c is quantised elsewhere and read in float here");
  for (const char* alias : {"Identity", "Dropout"}) {
    CHECK(refused([alias](Conv& c) {
            c.conv += onnx_node(alias, "c", "same") + onnx_node("Relu", "c", "other");
            c.output = quantize_node("same", "cq", "sy") + dequantize_node("cq", "y", "sy");
          }) == "Relu other: input c is quantised elsewhere and read in float here");
  }
  CHECK(refused([](Conv& c) {
          c.scales += scalar("s2", 0.2F) + integers("s2_zero", "INT8", {}, {-128});
          c.output = quantize_node("c", "cq", "sy") + dequantize_node("cq", "y", "s2");
        }) ==
        "DequantizeLinear y: scale = 0.200000, zero point = -128, expected QuantizeLinear's scale "
        "= 0.100000, zero point = -128");
  CHECK(refused([](Conv& c) {
          c.scales += scalar("s2", 0.2F) + integers("s2_zero", "INT8", {}, {-128});
          c.output += quantize_node("c", "again", "s2");
        }) ==
        "QuantizeLinear again: scale = 0.200000, zero point = -128, but the tensor was quantised "
        "before with scale = 0.100000, zero point = -128");
  CHECK(refused([](Conv& c) { c.output += dequantize_node("nowhere", "z", "sy"); }) ==
        "DequantizeLinear z: input nowhere, expected a constant or what QuantizeLinear makes");
  CHECK(refused([](Conv& c) {
          c.weight = integers("w", "UINT8", {2, 4, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}) +
                     floats("sw", {2}, {0.01F, 0.02F}) + integers("sw_zero", "UINT8", {2}, {0, 0});
        }) ==
        "DequantizeLinear wf: constant of type UINT8, expected INT8 (a weight) or INT32 (a bias)");
  CHECK(refused([](Conv& c) {
          c.weight = integers("w", "INT8", {2, 4, 1, 1}, {1, 2, 3, -128, 5, 6, 7, 8}) +
                     floats("sw", {2}, {0.01F, 0.02F}) + integers("sw_zero", "INT8", {2}, {0, 0});
        }) == "Conv c: tensor w: value -128, expected -127 to 127 for a symmetric weight");
  CHECK(refused([](Conv& c) {
          c.weight = integers("w", "INT8", {2, 4, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}) +
                     floats("sw", {2}, {0.01F, 0.02F}) + integers("sw_zero", "INT8", {2}, {0, 5});
        }) == "DequantizeLinear wf: zero point = 5, expected 0 for a weight or bias");
  CHECK(refused([](Conv& c) {
          c.weight = integers("w", "INT8", {2, 4, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}) +
                     floats("sw", {3}, {1, 1, 1}) + integers("sw_zero", "INT8", {2}, {0, 0});
        }) == "DequantizeLinear wf: 3 scales along axis 0 of [2, 4, 1, 1]");
  CHECK(refused([](Conv& c) {
          c.weight = integers("w", "INT8", {2, 4, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}) +
                     floats("sw", {4}, {1, 1, 1, 1}) + integers("sw_zero", "INT8", {1}, {0});
          c.parameters = dequantize_node("w", "wf", "sw", attribute("axis", 1)) +
                         dequantize_node("b", "bf", "sb", attribute("axis", 0));
        }) == "Conv c: weight wf has scales along axis 1, expected 0");
  CHECK(refused([](Conv& c) {
          c.weight += floats("plain", {2, 4, 1, 1});
          c.conv = onnx_node("Conv", "xf plain bf", "c");
        }) ==
        "Conv c: bias bf is INT32 behind DequantizeLinear, but weight plain is of type FLOAT");
  CHECK(refused([](Conv& c) {
          c.bias += floats("plain", {2});
          c.conv = onnx_node("Conv", "xf wf plain", "c");
        }) == "Conv c: bias plain is of type FLOAT, expected INT32 behind DequantizeLinear");
  CHECK(refused([](Conv& c) {
          c.bias = integers("b", "INT32", {2}, {100, -7}) + floats("sb", {2}, {0.0005F, 0.002F}) +
                   integers("sb_zero", "INT32", {2}, {0, 0});
        }) ==
        "Conv c: bias scale = 0.002 at channel 1, expected 0.001 (the input's times the weight's)");
  CHECK(refused([](Conv& c) {
          c.output = onnx_node("HardSwish", "c", "h") + quantize_node("h", "hq", "sy") +
                     dequantize_node("hq", "y", "sy");
        }) == "onnx: conv2d c: its output is not quantised");
}

}  // namespace
}  // namespace lathe::network
