#include "tests/network/onnx_text.h"

#include <google/protobuf/text_format.h>
#include <onnx/onnx_pb.h>

#include <sstream>
#include <stdexcept>

namespace lathe::test {
namespace {

std::string list(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (const int64_t value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

std::string quoted_each(const std::string& field, const std::string& names) {
  std::istringstream stream(names);
  std::string text;
  for (std::string name; stream >> name;) {
    text += " " + field + ": '" + (name == "-" ? "" : name) + "'";
  }
  return text;
}

}  // namespace

std::string onnx_from_text(const std::string& model_text) {
  onnx::ModelProto model;
  if (!google::protobuf::TextFormat::ParseFromString(model_text, &model)) {
    throw std::runtime_error("not a model: " + model_text);
  }
  return model.SerializeAsString();
}

std::string onnx_graph(const std::string& graph_text, int64_t opset) {
  return onnx_from_text(
      "ir_version: 8 opset_import { domain: '' version: " + std::to_string(opset) +
      " } graph { name: 'g' input { name: 'x' type { tensor_type { elem_type: 1 shape { "
      "dim { dim_value: 1 } dim { dim_value: 4 } dim { dim_value: 6 } dim { dim_value: 6 } "
      "} } } } output { name: 'y' type { tensor_type { elem_type: 1 } } } " +
      graph_text + " }");
}

std::string floats(const std::string& name, const std::vector<int64_t>& shape,
                   const std::vector<float>& values) {
  std::ostringstream text;
  text << "initializer { name: '" << name << "' data_type: 1 dims: " << list(shape)
       << " float_data: [";
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  for (int64_t i = 0; i < count; ++i) {
    // Values from -1 to 1 in an order that no transposition keeps.
    const float value = values.empty() ? static_cast<float>((i * 37 + 11) % 101 - 50) / 50.0F
                                       : values[static_cast<size_t>(i)];
    text << (i > 0 ? ", " : "") << value;
  }
  text << "] } ";
  return text.str();
}

std::string ints(const std::string& name, const std::vector<int64_t>& values) {
  return "initializer { name: '" + name + "' data_type: 7 dims: " + std::to_string(values.size()) +
         " int64_data: " + list(values) + " } ";
}

std::string onnx_node(const std::string& type, const std::string& inputs,
                      const std::string& outputs, const std::string& attributes) {
  return "node { op_type: '" + type + "'" + quoted_each("input", inputs) +
         quoted_each("output", outputs) + " " + attributes + " } ";
}

std::string attribute(const std::string& name, int64_t value) {
  return "attribute { name: '" + name + "' type: INT i: " + std::to_string(value) + " } ";
}
std::string attribute(const std::string& name, const std::vector<int64_t>& values) {
  return "attribute { name: '" + name + "' type: INTS ints: " + list(values) + " } ";
}
std::string attribute(const std::string& name, const std::string& value) {
  return "attribute { name: '" + name + "' type: STRING s: '" + value + "' } ";
}
std::string attribute_real(const std::string& name, double value) {
  std::ostringstream text;
  text.precision(9);
  text << "attribute { name: '" << name << "' type: FLOAT f: " << value << " } ";
  return text.str();
}
std::string attribute_tensor(const std::string& name, const std::string& tensor) {
  return "attribute { name: '" + name + "' type: TENSOR t " + tensor.substr(tensor.find('{')) +
         " } ";
}

namespace {

using Spellings = std::vector<OnnxSpelling>;
using Ints = std::vector<int64_t>;

std::string scalar(const std::string& name, float value) { return floats(name, {}, {value}); }

void add_convolutions(Spellings& all) {
  const std::string weight = floats("w", {8, 4, 3, 3});
  all.push_back(
      {"conv with defaults", onnx_graph(weight + onnx_node("Conv", "x w", "y")), "conv2d"});
  all.push_back({"conv with VALID",
                 onnx_graph(weight + floats("b", {8}) +
                            onnx_node("Conv", "x w b", "y", attribute("auto_pad", "VALID"))),
                 "conv2d"});
  all.push_back(
      {"conv with SAME_UPPER",
       onnx_graph(weight + onnx_node("Conv", "x w", "y", attribute("auto_pad", "SAME_UPPER"))),
       "conv2d"});
  all.push_back({"depthwise conv",
                 onnx_graph(floats("w", {8, 1, 3, 3}) +
                            onnx_node("Conv", "x w", "y",
                                      attribute("group", 4) + attribute("pads", Ints{1, 1, 1, 1}) +
                                          attribute("strides", Ints{2, 2}) +
                                          attribute("kernel_shape", Ints{3, 3}) +
                                          attribute("dilations", Ints{1, 1}))),
                 "conv2d"});
  all.push_back(
      {"batch normalisation",
       onnx_graph(floats("g", {4}) + floats("b", {4}) + floats("m", {4}) +
                  floats("v", {4}, {1, 2, 3, 4}) +
                  onnx_node("BatchNormalization", "x g b m v", "y",
                            attribute_real("epsilon", 1e-3) + attribute_real("momentum", 0.9))),
       "batch_norm"});
}

void add_activations(Spellings& all) {
  const std::string bounds = scalar("low", 0.0F) + scalar("high", 6.0F);
  all.push_back({"clip by initialisers", onnx_graph(bounds + onnx_node("Clip", "x low high", "y")),
                 "activation(relu6)"});
  all.push_back(
      {"clip by attributes",
       onnx_graph(onnx_node("Clip", "x", "y", attribute_real("min", 0) + attribute_real("max", 6)),
                  10),
       "activation(relu6)"});
  all.push_back(
      {"clip by Constant nodes",
       onnx_graph(onnx_node("Constant", "", "low", attribute_tensor("value", scalar("", 0.0F))) +
                  onnx_node("Constant", "", "high", attribute_real("value_float", 6.0)) +
                  onnx_node("Clip", "x low high", "y")),
       "activation(relu6)"});
  all.push_back({"clip without an upper bound",
                 onnx_graph(bounds + onnx_node("Clip", "x low", "y")), "activation(relu)"});
  all.push_back({"swish", onnx_graph(onnx_node("Sigmoid", "x", "s") + onnx_node("Mul", "x s", "y")),
                 "activation(swish)"});
  all.push_back({"swish the other way round",
                 onnx_graph(onnx_node("Sigmoid", "x", "s") + onnx_node("Mul", "s x", "y")),
                 "activation(swish)"});
  all.push_back({"a sigmoid that is read twice stays",
                 onnx_graph(onnx_node("Sigmoid", "x", "s") + onnx_node("Mul", "x s", "m") +
                            onnx_node("Add", "m s", "y")),
                 "activation(sigmoid) multiply add"});
  const std::string sixth = attribute_real("alpha", 1.0 / 6.0) + attribute_real("beta", 0.5);
  all.push_back({"hard sigmoid", onnx_graph(onnx_node("HardSigmoid", "x", "y", sixth)),
                 "activation(hard_sigmoid)"});
  all.push_back(
      {"hard swish", onnx_graph(onnx_node("HardSwish", "x", "y")), "activation(hard_swish)"});
  all.push_back(
      {"hard swish by hard sigmoid",
       onnx_graph(onnx_node("HardSigmoid", "x", "h", sixth) + onnx_node("Mul", "h x", "y")),
       "activation(hard_swish)"});
  const std::string shifted = bounds + scalar("three", 3.0F) + scalar("six", 6.0F) +
                              onnx_node("Add", "x three", "a") +
                              onnx_node("Clip", "a low high", "c");
  all.push_back({"hard sigmoid by clipping", onnx_graph(shifted + onnx_node("Div", "c six", "y")),
                 "activation(hard_sigmoid)"});
  all.push_back(
      {"hard swish by clipping, divided first",
       onnx_graph(shifted + onnx_node("Div", "c six", "d") + onnx_node("Mul", "x d", "y")),
       "activation(hard_swish)"});
  all.push_back(
      {"hard swish by clipping, multiplied first",
       onnx_graph(shifted + onnx_node("Mul", "x c", "m") + onnx_node("Div", "m six", "y")),
       "activation(hard_swish)"});
}

void add_linear_layers(Spellings& all) {
  const std::string flat = onnx_node("Flatten", "x", "f");
  const std::string bias = floats("b", {3});
  all.push_back({"gemm with transB",
                 onnx_graph(floats("w", {3, 144}) + bias + flat +
                            onnx_node("Gemm", "f w b", "y", attribute("transB", 1))),
                 "flatten linear"});
  all.push_back({"gemm without transB, scaled",
                 onnx_graph(floats("w", {144, 3}) + bias + flat +
                            onnx_node("Gemm", "f w b", "y",
                                      attribute_real("alpha", 0.5) + attribute_real("beta", 2))),
                 "flatten linear"});
  all.push_back({"gemm with a bias of one row",
                 onnx_graph(floats("w", {144, 3}) + floats("b", {1, 3}) + flat +
                            onnx_node("Gemm", "f w b", "y")),
                 "flatten linear"});
  all.push_back({"gemm with one bias for all",
                 onnx_graph(floats("w", {144, 3}) + floats("b", {1}) + flat +
                            onnx_node("Gemm", "f w b", "y")),
                 "flatten linear"});
  all.push_back({"gemm without a bias",
                 onnx_graph(floats("w", {144, 3}) + flat + onnx_node("Gemm", "f w", "y")),
                 "flatten linear"});
  const std::string product = floats("w", {144, 3}) + flat + onnx_node("MatMul", "f w", "m");
  all.push_back({"matrix product",
                 onnx_graph(floats("w", {144, 3}) + flat + onnx_node("MatMul", "f w", "y")),
                 "flatten linear"});
  all.push_back({"matrix product and bias",
                 onnx_graph(bias + product + onnx_node("Add", "m b", "y")), "flatten linear"});
  all.push_back({"bias and matrix product",
                 onnx_graph(bias + product + onnx_node("Add", "b m", "y")), "flatten linear"});
  all.push_back({"one weight for two layers",
                 onnx_graph(floats("w", {144, 144}) + flat + onnx_node("MatMul", "f w", "m") +
                            onnx_node("Gemm", "m w", "y", attribute("transB", 1))),
                 "flatten linear linear"});
}

void add_shapes(Spellings& all) {
  const auto reshaped = [](const Ints& target) {
    return onnx_graph(ints("s", target) + onnx_node("Reshape", "x s", "y"));
  };
  all.push_back({"reshape [1, -1]", reshaped({1, -1}), "flatten"});
  all.push_back({"reshape [0, -1]", reshaped({0, -1}), "flatten"});
  all.push_back({"reshape [-1, 144]", reshaped({-1, 144}), "flatten"});
  all.push_back({"reshape to itself",
                 onnx_graph(ints("s", {0, 0, -1, 6}) + onnx_node("Relu", "x", "r") +
                            onnx_node("Reshape", "r s", "y")),
                 "activation(relu)"});
  all.push_back(
      {"flatten by a computed shape",
       onnx_graph(onnx_node("Shape", "x", "shape") +
                  onnx_node("Constant", "", "zero", attribute("value_int", 0)) +
                  onnx_node("Gather", "shape zero", "n", attribute("axis", 0)) + ints("axes", {0}) +
                  onnx_node("Unsqueeze", "n axes", "n1") + ints("rest", {-1}) +
                  onnx_node("Concat", "n1 rest", "s", attribute("axis", 0)) +
                  onnx_node("Cast", "s", "s64", attribute("to", 7)) +
                  onnx_node("Reshape", "x s64", "y")),
       "flatten"});
  all.push_back({"flatten by a sliced shape",
                 onnx_graph(onnx_node("Shape", "x", "shape") + ints("from", {0}) + ints("to", {1}) +
                            onnx_node("Slice", "shape from to", "n") + ints("rest", {-1}) +
                            onnx_node("Concat", "n rest", "s", attribute("axis", 0)) +
                            onnx_node("Reshape", "x s", "y")),
                 "flatten"});
  all.push_back(
      {"channel shuffle",
       onnx_graph(ints("a", {1, 2, 2, 6, 6}) + ints("b", {1, -1, 6, 6}) +
                  onnx_node("Reshape", "x a", "r") +
                  onnx_node("Transpose", "r", "t", attribute("perm", Ints{0, 2, 1, 3, 4})) +
                  onnx_node("Reshape", "t b", "y")),
       "channel_shuffle"});
  all.push_back(
      {"split",
       onnx_graph(ints("s", {1, 3}) + onnx_node("Split", "x s", "a b", attribute("axis", 1)) +
                  onnx_node("Concat", "b a", "y", attribute("axis", 1))),
       "channel_slice channel_slice concat"});
  all.push_back({"split into halves by default",
                 onnx_graph(onnx_node("Split", "x", "a b", attribute("axis", 1)) +
                            onnx_node("Concat", "b a", "y", attribute("axis", -3))),
                 "channel_slice channel_slice concat"});
  all.push_back(
      {"slice from the end",
       onnx_graph(ints("from", {-3}) + ints("to", {9223372036854775807}) + ints("axes", {1}) +
                  ints("steps", {1}) + onnx_node("Slice", "x from to axes steps", "y")),
       "channel_slice"});
  all.push_back({"slice by attributes",
                 onnx_graph(onnx_node("Slice", "x", "y",
                                      attribute("starts", Ints{1}) + attribute("ends", Ints{3}) +
                                          attribute("axes", Ints{1})),
                            9),
                 "channel_slice"});
  all.push_back({"identity and dropout",
                 onnx_graph(onnx_node("Identity", "x", "i") + onnx_node("Relu", "i", "r") +
                            onnx_node("Dropout", "r", "y")),
                 "activation(relu)"});
}

void add_pools(Spellings& all) {
  all.push_back({"mean over height and width",
                 onnx_graph(onnx_node("ReduceMean", "x", "y", attribute("axes", Ints{2, 3}))),
                 "global_average_pool"});
  all.push_back({"mean over the last two axes, dropped",
                 onnx_graph(onnx_node("ReduceMean", "x", "y",
                                      attribute("axes", Ints{-1, -2}) + attribute("keepdims", 0))),
                 "global_average_pool flatten"});
  all.push_back({"mean by an input",
                 onnx_graph(ints("axes", {2, 3}) + onnx_node("ReduceMean", "x axes", "y"), 18),
                 "global_average_pool"});
  all.push_back({"pool and squeeze",
                 onnx_graph(onnx_node("GlobalAveragePool", "x", "p") + ints("axes", {2, 3}) +
                            onnx_node("Squeeze", "p axes", "y")),
                 "global_average_pool flatten"});
  const std::string window = attribute("kernel_shape", Ints{3, 3}) +
                             attribute("strides", Ints{2, 2}) + attribute("pads", Ints{1, 1, 1, 1});
  all.push_back({"average without the padding",
                 onnx_graph(onnx_node("AveragePool", "x", "y", window)), "average_pool"});
  all.push_back({"average that would count padding if it had any",
                 onnx_graph(onnx_node(
                     "AveragePool", "x", "y",
                     attribute("kernel_shape", Ints{2, 2}) + attribute("count_include_pad", 1))),
                 "average_pool"});
  all.push_back({"maximum", onnx_graph(onnx_node("MaxPool", "x", "y", window)), "max_pool"});
  const std::string linear = attribute("mode", "linear");
  all.push_back(
      {"resize by scales",
       onnx_graph(floats("s", {4}, {1, 1, 2, 1.5F}) + onnx_node("Resize", "x - s", "y", linear)),
       "resize"});
  all.push_back({"resize by sizes",
                 onnx_graph(ints("s", {1, 4, 9, 3}) +
                            onnx_node("Resize", "x - - s", "y",
                                      linear + attribute("coordinate_transformation_mode",
                                                         "pytorch_half_pixel"))),
                 "resize"});
  all.push_back(
      {"a gate on the left",
       onnx_graph(onnx_node("GlobalAveragePool", "x", "g") + onnx_node("Mul", "g x", "y")),
       "global_average_pool multiply"});
}

}  // namespace

std::vector<OnnxSpelling> onnx_spellings() {
  Spellings all;
  add_convolutions(all);
  add_activations(all);
  add_linear_layers(all);
  add_shapes(all);
  add_pools(all);
  return all;
}

}  // namespace lathe::test
