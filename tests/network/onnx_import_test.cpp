#include <doctest/doctest.h>

#include "network/network.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "tests/network/onnx_text.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

using namespace test;  // the builders of files
using Ints = std::vector<int64_t>;

std::string operators_of(const Network& network) {
  std::string text;
  for (const Node& node : network.nodes()) {
    if (std::holds_alternative<Input>(node.op)) continue;
    text += (text.empty() ? "" : " ") + std::string(operator_name(node.op));
    if (const auto* activation = std::get_if<Activation>(&node.op)) {
      text += "(" + std::string(to_string(activation->kind)) + ")";
    }
  }
  return text;
}

TEST_CASE("Import recognises the spellings of other exporters") {
  for (const OnnxSpelling& spelling : onnx_spellings()) {
    CAPTURE(spelling.name);
    const Model model = import_onnx(spelling.bytes);
    CHECK(operators_of(model.network) == spelling.operators);
    CHECK_NOTHROW(check_weights(model.network, model.weights));
  }
}

TEST_CASE("Imported attributes are those of the file") {
  const Model conv =
      import_onnx(onnx_graph(floats("w", {8, 1, 3, 3}) + floats("b", {8}) +
                             onnx_node("Conv", "x w b", "y",
                                       attribute("group", 4) + attribute("pads", Ints{1, 1, 1, 1}) +
                                           attribute("strides", Ints{2, 2}))));
  const auto& op = std::get<Conv2d>(conv.network.nodes().back().op);
  CHECK(op.out_channels == 8);
  CHECK(op.kernel == 3);
  CHECK(op.stride == 2);
  CHECK(op.padding == 1);
  CHECK(op.groups == 4);
  CHECK(op.bias);
  CHECK(conv.network.nodes().back().name == "y");
  CHECK(conv.weights.at("y.weight").shape == Shape{8, 1, 3, 3});

  const Model slice =
      import_onnx(onnx_graph(ints("from", {-3}) + ints("to", {100}) + ints("axes", {-3}) +
                             onnx_node("Slice", "x from to axes", "y")));
  CHECK(std::get<ChannelSlice>(slice.network.nodes().back().op).begin == 1);
  CHECK(std::get<ChannelSlice>(slice.network.nodes().back().op).end == 4);

  const Model norm = import_onnx(
      onnx_graph(floats("n.gamma", {4}) + floats("n.beta", {4}) + floats("n.mean", {4}) +
                 floats("n.variance", {4}, {1, 2, 3, 4}) +
                 onnx_node("BatchNormalization", "x n.gamma n.beta n.mean n.variance", "y")));
  CHECK(std::get<BatchNorm>(norm.network.nodes().back().op).epsilon == 1e-5);
  CHECK(norm.weights.count("n.variance") == 1);  // names of this form survive
}

TEST_CASE("Nodes of one name, or of none, get names of their own") {
  const std::string named = "name: 'same'";
  const Model model = import_onnx(
      onnx_graph(onnx_node("Relu", "x", "a", named) + onnx_node("Relu", "a", "b", named) +
                 onnx_node("Relu", "b", "c", named) + onnx_node("Relu", "c", "y")));
  CHECK(model.network.node(1).name == "same");
  CHECK(model.network.node(2).name == "same_1");
  CHECK(model.network.node(3).name == "same_2");
  CHECK(model.network.node(4).name == "y");
}

TEST_CASE("Names of one form never mix up the weights of two nodes") {
  // "b" would name its weight b.weight, which is the name of a constant that "a" uses.
  const Model model =
      import_onnx(onnx_graph(floats("b.weight", {4, 4, 1, 1}) + floats("other", {4, 4, 3, 3}) +
                             onnx_node("Conv", "x b.weight", "p", "name: 'a'") +
                             onnx_node("Conv", "p other", "y", "name: 'b'")));
  CHECK_NOTHROW(check_weights(model.network, model.weights));
  CHECK(model.network.node(1).parameters[0].name == "b.weight");
  CHECK(model.network.node(2).parameters[0].name == "b_.weight");
}

TEST_CASE("A symbolic batch is read as one") {
  std::string text =
      "ir_version: 8 opset_import { version: 17 } graph { input { name: 'x' type { tensor_type { "
      "elem_type: 1 shape { DIM dim { dim_value: 4 } dim { dim_value: 6 } dim { dim_value: 6 } } } "
      "} } output { name: 'y' } " +
      onnx_node("Relu", "x", "y") + "}";
  const size_t at = text.find("DIM");
  for (const char* batch : {"dim { dim_param: 'N' }", "dim { }", "dim { dim_value: 1 }"}) {
    std::string each = text;
    CHECK(import_onnx(onnx_from_text(each.replace(at, 3, batch))).network.input_shape() ==
          Shape{1, 4, 6, 6});
  }
  text.replace(at, 3, "dim { dim_value: 8 }");
  CHECK(message_of<DataError>([&] { import_onnx(onnx_from_text(text)); }) ==
        "input x: shape [8, 4, 6, 6], expected [1, C, H, W] of at most 268435456 values");
}

TEST_CASE("An initialiser that is also listed as an input is a constant") {
  const std::string bytes =
      onnx_graph("input { name: 'w' type { tensor_type { elem_type: 1 } } } " +
                 floats("w", {2, 4, 1, 1}) + onnx_node("Conv", "x w", "y"));
  CHECK(operators_of(import_onnx(bytes).network) == "conv2d");
}

TEST_CASE("Limits are those of the caller") {
  const std::string bytes = onnx_graph(floats("w", {2, 4, 1, 1}) + onnx_node("Conv", "x w", "c") +
                                       onnx_node("Relu", "c", "y"));
  CHECK_NOTHROW(import_onnx(bytes));
  const auto limited = [&](void (*set)(OnnxLimits&)) {
    OnnxLimits limits;
    set(limits);
    return message_of<DataError>([&] { import_onnx(bytes, limits); });
  };
  CHECK(limited([](OnnxLimits& limits) { limits.max_bytes = 10; }) ==
        "onnx: " + std::to_string(bytes.size()) + " bytes, expected at most 10");
  CHECK(limited([](OnnxLimits& limits) { limits.max_graph_bytes = 50; }) ==
        "onnx: " + std::to_string(bytes.size() - 32) +
            " bytes besides weight values, expected at most 50");
  CHECK(limited([](OnnxLimits& limits) { limits.max_nodes = 1; }) ==
        "onnx: 2 nodes, expected at most 1");
  CHECK(limited([](OnnxLimits& limits) { limits.max_parameters = 7; }) ==
        "tensor w: more than 7 values");
  CHECK(limited([](OnnxLimits& limits) { limits.max_activation_elements = 143; }) ==
        "input x: shape [1, 4, 6, 6], expected [1, C, H, W] of at most 143 values");
}

TEST_CASE("One constant used by many nodes counts as often as it is stored") {
  std::string text = floats("w", {4, 4, 1, 1});
  std::string from = "x";
  for (int i = 0; i < 10; ++i) {
    const std::string to = i == 9 ? "y" : "v" + std::to_string(i);
    text += onnx_node("Conv", from + " w", to);
    from = to;
  }
  OnnxLimits limits;
  limits.max_parameters = 159;
  CHECK(message_of<DataError>([&] { import_onnx(onnx_graph(text), limits); }) ==
        "Conv y: more than 159 parameter values");
  limits.max_parameters = 160;
  CHECK_NOTHROW(import_onnx(onnx_graph(text), limits));
}

}  // namespace
}  // namespace lathe::network
