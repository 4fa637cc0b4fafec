#include <doctest/doctest.h>

#include "network/network.h"
#include "network/onnx.h"
#include "tests/network/onnx_text.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

using namespace test;  // the builders of files
using Ints = std::vector<int64_t>;

struct Malformed {
  std::string bytes;
  std::string message;
};

void check_all(const std::vector<Malformed>& cases) {
  for (const Malformed& each : cases) {
    CHECK(message_of<DataError>([&] { import_onnx(each.bytes); }) == each.message);
  }
}

/// A whole model; `input` and `graph` are text.
std::string model(const std::string& header, const std::string& graph) {
  return onnx_from_text(header + " graph { " + graph + " }");
}
const std::string kHeader = "ir_version: 8 opset_import { version: 17 }";
const std::string kOutput = "output { name: 'y' } ";

std::string input(const std::string& name, const Ints& shape, int type = 1) {
  std::string dims;
  for (const int64_t size : shape) dims += "dim { dim_value: " + std::to_string(size) + " } ";
  return "input { name: '" + name + "' type { tensor_type { elem_type: " + std::to_string(type) +
         " shape { " + dims + "} } } } ";
}
const std::string kRelu = onnx_node("Relu", "x", "y");

TEST_CASE("Files that are no models of a known kind are refused") {
  const std::string graph = input("x", {1, 4, 6, 6}) + kOutput + kRelu;
  check_all({
      {"", "onnx: IR version = 0, expected 3 to 10"},
      {"not a model", "onnx: 11 bytes that are not an ONNX model"},
      {model("ir_version: 99 opset_import { version: 17 }", graph),
       "onnx: IR version = 99, expected 3 to 10"},
      {model("ir_version: 8", graph), "onnx: operator set = none, expected 9 to 21"},
      {model("ir_version: 8 opset_import { version: 8 }", graph),
       "onnx: operator set = 8, expected 9 to 21"},
      {model("ir_version: 8 opset_import { domain: 'com.microsoft' version: 17 }", graph),
       "onnx: operator set = none, expected 9 to 21"},
      {onnx_from_text(kHeader), "onnx: no graph, expected one"},
      {model(kHeader + " functions { name: 'f' }", graph),
       "onnx: local functions are not supported"},
      {model(kHeader, graph + "sparse_initializer { }"),
       "onnx: sparse initialisers are not supported"},
  });
}

TEST_CASE("Inputs and outputs must be one image and one result") {
  const std::string limits = ", expected [1, C, H, W] of at most 268435456 values";
  check_all({
      {model(kHeader, kOutput + kRelu), "onnx: 0 inputs, expected one image"},
      {model(kHeader, input("x", {1, 4, 6, 6}) + input("z", {1, 4, 6, 6}) + kOutput + kRelu),
       "onnx: 2 inputs, expected one image"},
      {model(kHeader, input("x", {1, 4, 6, 6}, 11) + kOutput + kRelu),
       "input x: element type 11, expected FLOAT"},
      {model(kHeader, input("x", {1, 4, 6}) + kOutput + kRelu),
       "input x: shape [1, 4, 6]" + limits},
      {model(kHeader, input("x", {1, 4, 6, 6, 1}) + kOutput + kRelu),
       "input x: shape [1, 4, 6, 6, 1]" + limits},
      {model(kHeader, input("x", {1, -4, 6, 6}) + kOutput + kRelu),
       "input x: shape [1, -4, 6, 6]" + limits},
      {model(kHeader, input("x", {1, 4, 0, 6}) + kOutput + kRelu),
       "input x: shape [1, 4, 0, 6]" + limits},
      {model(kHeader,
             input("x", {1, 3037000500, 3037000500, 9223372036854775807}) + kOutput + kRelu),
       "input x: shape [1, 3037000500, 3037000500, 9223372036854775807]" + limits},
      {model(kHeader, input("", {1, 4, 6, 6}) + kOutput + kRelu), "onnx: the input has no name"},
      {model(kHeader, input("x", {1, 4, 6, 6}) + kRelu), "onnx: 0 outputs, expected one"},
      {model(kHeader, input("x", {1, 4, 6, 6}) + kOutput + kOutput + kRelu),
       "onnx: 2 outputs, expected one"},
      {model(kHeader, input("x", {1, 4, 6, 6}) + "output { name: 'z' } " + kRelu),
       "onnx: output z is not made by any node"},
  });
}

TEST_CASE("Graphs that do not hang together are refused") {
  check_all({
      {onnx_graph(onnx_node("Relu", "b", "a") + onnx_node("Relu", "a", "b") + kRelu),
       "Relu a: input b is not made by an earlier node"},
      {onnx_graph(onnx_node("Relu", "y", "y")), "Relu y: input y is not made by an earlier node"},
      {onnx_graph(onnx_node("Relu", "a", "y") + onnx_node("Relu", "x", "a")),
       "Relu y: input a is not made by an earlier node"},
      {onnx_graph(onnx_node("Relu", "x", "y") + onnx_node("Relu", "x", "y")),
       "Relu y: output y is made twice"},
      {onnx_graph(onnx_node("Relu", "x", "x")), "Relu x: output x is made twice"},
      {onnx_graph(onnx_node("Sigmoid", "x", "y") + onnx_node("Mul", "x y", "y")),
       "Mul y: output y is made twice"},
      {onnx_graph(floats("w", {1}) + floats("w", {1}) + kRelu), "tensor w: the name is used twice"},
      {onnx_graph(floats("", {1}) + kRelu), "onnx: an initialiser has no name"},
      {onnx_graph(onnx_node("Relu", "", "y")), "Relu y: input 0 is missing"},
      {onnx_graph(onnx_node("Add", "x", "y")), "Add y: input 1 is missing"},
      {onnx_graph(onnx_node("Relu", "x", "")), "Relu : 0 outputs, expected 1"},
      {onnx_graph(onnx_node("Relu", "x", "y z")), "Relu y: 2 outputs, expected 1"},
      {onnx_graph(floats("w", {1}) + onnx_node("Relu", "w", "y")),
       "Relu y: input w is a constant, expected a tensor of the network"},
      {onnx_graph(onnx_node("Conv", "x x", "y")),
       "Conv y: input x is a tensor of the network, expected a constant"},
      {onnx_graph(onnx_node("Conv", "x w", "y")), "Conv y: input w is not made by an earlier node"},
      {onnx_graph(onnx_node("Conv", "x", "y")), "Conv y: input 1 is missing"},
  });
}

TEST_CASE("Operators that lathe does not have are refused by name") {
  const std::string message =
      message_of<DataError>([] { import_onnx(onnx_graph(onnx_node("LSTM", "x", "y"))); });
  CHECK(message.find("LSTM y: the operator is not supported, expected one of Add, AveragePool, "
                     "BatchNormalization, Cast, Clip,") == 0);
  const std::string transpose =
      message_of<DataError>([] { import_onnx(onnx_graph(onnx_node("Transpose", "x", "y"))); });
  CHECK(transpose.find("Transpose y: the operator is not supported") == 0);
  check_all({
      {onnx_graph(onnx_node("Softmax", "x", "y", "name: 'prob'")),
       "Softmax prob: softmax is not part of lathe's networks, export the model up to its logits"},
      {onnx_graph(onnx_node("Relu", "x", "y", "domain: 'com.microsoft'")),
       "Relu y: domain com.microsoft is not supported"},
      {onnx_graph(onnx_node("Relu", "x", "y", attribute("alpha", 1))),
       "Relu y: attribute alpha is not supported"},
      {onnx_graph(onnx_node("Flatten", "x", "y", attribute("axis", 1) + attribute("axis", 1))),
       "Flatten y: attribute axis is given twice"},
      {onnx_graph(onnx_node("Flatten", "x", "y", attribute_real("axis", 1))),
       "Flatten y: attribute axis has type FLOAT, expected INT"},
      {onnx_graph(onnx_node("Flatten", "x", "y", attribute("axis", 2))),
       "Flatten y: axis = 2, expected 1"},
  });
}

TEST_CASE("Constants must hold what they promise") {
  const auto conv = [](const std::string& weight) {
    return onnx_graph(weight + onnx_node("Conv", "x w", "y"));
  };
  const std::string tensor = "initializer { name: 'w' data_type: 1 ";
  const std::string dims = "dims: [2, 4, 1, 1] ";
  const std::string external = tensor + dims + "data_location: EXTERNAL ";
  const auto location = [&](const std::string& value) {
    return conv(external + "external_data { key: 'location' value: '" + value + "' } } ");
  };
  const std::string expected = ", expected values in the file or lathe:random?seed=N";
  check_all({
      {conv(tensor + dims + "raw_data: 'abc' } "), "tensor w: 3 bytes of raw data, expected 32"},
      {conv(tensor + dims + "float_data: [1, 2, 3] } "), "tensor w: 3 values, expected 8"},
      {conv(tensor + dims + "} "), "tensor w: 0 values, expected 8"},
      {conv("initializer { name: 'w' data_type: 10 " + dims + "} "),
       "tensor w: data type FLOAT16, expected FLOAT"},
      {conv("initializer { name: 'w' data_type: 77 " + dims + "} "),
       "tensor w: data type 77, expected FLOAT"},
      {conv(tensor + "dims: [2, -4, 1, 1] } "), "tensor w: dimension -4, expected a positive one"},
      {conv(tensor + "dims: [2, 0, 1, 1] } "), "tensor w: dimension 0, expected a positive one"},
      {conv(tensor + "dims: [4294967296, 4294967296, 1, 1] } "),
       "tensor w: more than 67108864 values"},
      {conv(tensor + dims + "float_data: [1, 2, 3, nan, 5, 6, 7, 8] } "),
       "tensor w: value 3 is nan, expected a finite number"},
      {conv(tensor + dims + "float_data: [1, 2, 3, 4, 5, 6, 7, inf] } "),
       "tensor w: value 7 is inf, expected a finite number"},
      {conv(tensor + dims + "segment { begin: 0 end: 1 } } "),
       "tensor w: segmented data is not supported"},
      {conv(external + "} "), "tensor w: external data without a location"},
      {location("/etc/passwd"), "tensor w: external data at /etc/passwd" + expected},
      {location("weights.bin"), "tensor w: external data at weights.bin" + expected},
      {location("lathe:random?seed="), "tensor w: external data at lathe:random?seed=" + expected},
      {location("lathe:random?seed=-1"),
       "tensor w: external data at lathe:random?seed=-1" + expected},
      {location("lathe:random?seed=18446744073709551616"),
       "tensor w: external data at lathe:random?seed=18446744073709551616" + expected},
      {location("lathe:random?seed=1x"),
       "tensor w: external data at lathe:random?seed=1x" + expected},
  });
}

TEST_CASE("Random weights come from one seed and only where weights are") {
  const auto random = [](const std::string& name, const std::string& dims, int seed) {
    return "initializer { name: '" + name + "' data_type: 1 dims: " + dims +
           " data_location: EXTERNAL external_data { key: 'location' value: "
           "'lathe:random?seed=" +
           std::to_string(seed) + "' } } ";
  };
  check_all({
      {onnx_graph(random("v", "[4, 4, 1, 1]", 1) + random("w", "[4, 4, 1, 1]", 2) +
                  onnx_node("Conv", "x v", "a") + onnx_node("Conv", "a w", "y")),
       "onnx: lathe:random with 2 seeds, expected one"},
      {onnx_graph(random("low", "[]", 1) + onnx_node("Clip", "x low", "y")),
       "tensor low: random values, expected values in the file"},
  });
}

TEST_CASE("Convolutions and pools outside of lathe's are refused") {
  const std::string weight = floats("w", {8, 4, 3, 3});
  const auto conv = [&](const std::string& attributes) {
    return onnx_graph(weight + onnx_node("Conv", "x w", "y", attributes));
  };
  const auto pool = [&](const std::string& type, const std::string& attributes) {
    return onnx_graph(onnx_node(type, "x", "y", attributes));
  };
  const std::string window = attribute("kernel_shape", Ints{3, 3});
  const int64_t huge = 9223372036854775807;
  check_all({
      {conv(attribute("pads", Ints{0, 0, 1, 1})),
       "Conv y: pads = [0, 0, 1, 1], expected the same padding on all four sides"},
      {conv(attribute("pads", Ints{1, 1})),
       "Conv y: pads = [1, 1], expected the same padding on all four sides"},
      {conv(attribute("pads", Ints{huge, huge, huge, huge})),
       "Conv y: padding 9223372036854775807, expected 0 to 2147483648"},
      {conv(attribute("auto_pad", "SAME_UPPER") + attribute("strides", Ints{2, 2})),
       "Conv y: pads = [0, 0, 1, 1], expected the same padding on all four sides"},
      {conv(attribute("auto_pad", "MIRROR")), "Conv y: auto_pad = MIRROR, expected NOTSET"},
      {conv(attribute("strides", Ints{2, 1})),
       "Conv y: strides = [2, 1], expected two equal sizes"},
      {conv(attribute("strides", Ints{0, 0})),
       "Conv y: strides = [0, 0], expected two equal sizes"},
      {conv(attribute("strides", Ints{huge, huge})),
       "Conv y: strides = [9223372036854775807, 9223372036854775807], expected two equal sizes"},
      {conv(attribute("dilations", Ints{2, 2})), "Conv y: dilations = [2, 2], expected [1, 1]"},
      {conv(attribute("kernel_shape", Ints{5, 5})),
       "Conv y: kernel_shape = [5, 5], weight [8, 4, 3, 3]"},
      {conv(attribute("group", 2)),
       "Conv y: tensor w has shape [8, 4, 3, 3], expected [8, 2, 3, 3]"},
      {conv(attribute("group", 3)), "Conv y: input [1, 4, 6, 6], groups 3: channels differ"},
      {conv(attribute("group", -4)), "Conv y: groups -4, expected 1 to 2147483648"},
      {onnx_graph(floats("w", {8, 4, 3, 1}) + onnx_node("Conv", "x w", "y")),
       "Conv y: kernel_shape = [3, 1], expected two equal sizes"},
      {onnx_graph(floats("w", {8, 4, 3}) + onnx_node("Conv", "x w", "y")),
       "Conv y: weight [8, 4, 3], expected four dimensions"},
      {onnx_graph(weight + floats("b", {7}) + onnx_node("Conv", "x w b", "y")),
       "Conv y: tensor b has shape [7], expected [8]"},
      {onnx_graph(floats("w", {8, 4, 7, 7}) + onnx_node("Conv", "x w", "y")),
       "Conv y: input [1, 4, 6, 6], kernel 7, padding 0: the window is larger than the padded "
       "image"},
      {pool("MaxPool", ""), "MaxPool y: attribute kernel_shape is missing"},
      {pool("MaxPool", window + attribute("ceil_mode", 1)), "MaxPool y: ceil_mode = 1, expected 0"},
      {pool("MaxPool", window + attribute("dilations", Ints{2, 2})),
       "MaxPool y: dilations = [2, 2], expected [1, 1]"},
      {pool("MaxPool", window + attribute("pads", Ints{3, 3, 3, 3})),
       "MaxPool y: kernel 3, padding 3: a window would lie outside the image"},
      {pool("AveragePool",
            window + attribute("pads", Ints{1, 1, 1, 1}) + attribute("count_include_pad", 1)),
       "AveragePool y: count_include_pad = 1, expected 0"},
      {pool("ReduceMean", attribute("axes", Ints{1})),
       "ReduceMean y: axes = [1], expected height and width: [2, 3]"},
      {pool("ReduceMean", ""), "ReduceMean y: axes = [], expected height and width: [2, 3]"},
  });
}

TEST_CASE("Activations, sums and linear layers outside of lathe's are refused") {
  const std::string flat = onnx_node("Flatten", "x", "f");
  const std::string weight = floats("w", {144, 3});
  const auto gemm = [&](const std::string& more, const std::string& attributes) {
    return onnx_graph(more + weight + flat + onnx_node("Gemm", "f w b", "y", attributes));
  };
  check_all({
      {onnx_graph(onnx_node("HardSigmoid", "x", "y")),
       "HardSigmoid y: alpha = 0.200000, beta = 0.500000, expected 1/6 and 1/2"},
      {onnx_graph(floats("low", {}, {-1}) + floats("high", {}, {1}) +
                  onnx_node("Clip", "x low high", "y")),
       "Clip y: bounds -1.000000 and 1.000000, expected 0 and 6"},
      {onnx_graph(floats("low", {2}) + onnx_node("Clip", "x low", "y")),
       "tensor low: more than 1 values"},
      {onnx_graph(floats("one", {}, {1}) + onnx_node("Add", "x one", "y")),
       "Add y: input one is a constant, expected a tensor of the network"},
      {onnx_graph(onnx_node("GlobalAveragePool", "x", "p") + onnx_node("Add", "x p", "y")),
       "Add y: inputs [1, 4, 6, 6] and [1, 4, 1, 1]: shapes differ"},
      {onnx_graph(onnx_node("Concat", "x x", "y", attribute("axis", 2))),
       "Concat y: axis = 2, expected 1"},
      {onnx_graph(onnx_node("Concat", "", "y", attribute("axis", 1))),
       "Concat y: inputs 0, expected at least 2"},
      {gemm(floats("b", {4}), ""), "Gemm y: bias [4], expected [3]"},
      {gemm(floats("b", {3, 1}), ""), "Gemm y: bias [3, 1], expected [3]"},
      {gemm(floats("b", {3}), attribute("transA", 1)), "Gemm y: transA = 1, expected 0"},
      {gemm(floats("b", {3}), attribute("transB", 1)),
       "Gemm y: input [1, 144], weight [144, 3]: features differ"},
      {gemm(floats("b", {3}), attribute_real("alpha", 1e30) + attribute_real("beta", 1e30) +
                                  "attribute { name: 'gamma' type: FLOAT f: 1 } "),
       "Gemm y: attribute gamma is not supported"},
      {gemm(floats("b", {3}), "attribute { name: 'alpha' type: FLOAT f: inf } "),
       "Gemm y: alpha and beta must be finite numbers"},
      {onnx_graph(floats("w", {144}) + flat + onnx_node("MatMul", "f w", "y")),
       "MatMul y: weight [144], expected two dimensions"},
      {onnx_graph(weight + onnx_node("MatMul", "x w", "y")),
       "MatMul y: input [1, 4, 6, 6], expected [1, features]"},
      {onnx_graph(floats("g", {4}) + floats("b", {4}) + floats("m", {4}) +
                  floats("v", {4}, {1, 1, -1, 1}) +
                  onnx_node("BatchNormalization", "x g b m v", "y")),
       "BatchNormalization y: variance -1.000000, expected 0 or more"},
      {onnx_graph(floats("g", {4}) +
                  onnx_node("BatchNormalization", "x g g g g", "y", attribute("training_mode", 1))),
       "BatchNormalization y: training_mode = 1, expected 0"},
      {onnx_graph(floats("g", {5}) + onnx_node("BatchNormalization", "x g g g g", "y")),
       "BatchNormalization y: tensor g has shape [5], expected [4]"},
  });
}

TEST_CASE("Changes of shape outside of lathe's are refused") {
  const auto reshape = [](const std::string& target) {
    return onnx_graph(target + onnx_node("Reshape", "x s", "y"));
  };
  const std::string neither = ": neither a flattening nor a channel shuffle";
  const auto slice = [](int64_t from, int64_t to, int64_t axis, int64_t step) {
    return onnx_graph(ints("from", {from}) + ints("to", {to}) + ints("axes", {axis}) +
                      ints("steps", {step}) + onnx_node("Slice", "x from to axes steps", "y"));
  };
  const auto resize = [](const std::string& inputs, const std::string& attributes) {
    return onnx_graph(floats("scales", {4}, {1, 1, 2, 2}) + floats("deep", {4}, {1, 2, 1, 1}) +
                      floats("huge", {4}, {1, 1, 1e20F, 1e20F}) + ints("sizes", {1, 4, 0, -5}) +
                      floats("uneven", {4}, {1, 1, 0.5F, 0.75F}) +
                      onnx_node("Resize", inputs, "y", attributes));
  };
  const std::string linear = attribute("mode", "linear");
  const std::string perm = attribute("perm", Ints{0, 2, 1, 3, 4});
  const auto shuffle = [&](const Ints& apart, const Ints& back) {
    return onnx_graph(ints("a", apart) + ints("b", back) + onnx_node("Reshape", "x a", "r") +
                      onnx_node("Transpose", "r", "t", perm) + onnx_node("Reshape", "t b", "y"));
  };
  const int64_t lowest = INT64_MIN;
  check_all({
      {reshape(ints("s", {2, 72})), "Reshape y: input [1, 4, 6, 6], shape [2, 72]" + neither},
      {reshape(ints("s", {-1, -1})), "Reshape y: input [1, 4, 6, 6], shape [-1, -1]" + neither},
      {reshape(ints("s", {1, 145})), "Reshape y: input [1, 4, 6, 6], shape [1, 145]" + neither},
      {reshape(ints("s", {4294967296, 4294967296, -1})),
       "Reshape y: input [1, 4, 6, 6], shape [4294967296, 4294967296, -1]" + neither},
      {reshape(ints("s", {})), "Reshape y: input [1, 4, 6, 6], shape []" + neither},
      {reshape(floats("s", {2})), "tensor s: data type FLOAT, expected INT64"},
      {shuffle({1, 2, 2, 6, 6}, {1, 2, 2, 36}),
       "Reshape y: input [1, 4, 6, 6], shapes [1, 2, 2, 6, 6] and [1, 2, 2, 36]: not a channel "
       "shuffle"},
      {shuffle({1, 4, 6, 2, 3}, {1, 4, 6, 6}),
       "Reshape y: input [1, 4, 6, 6], shapes [1, 4, 6, 2, 3] and [1, 4, 6, 6]: not a channel "
       "shuffle"},
      {slice(0, 2, 2, 1), "Slice y: input [1, 4, 6, 6], axis 2, expected an image and axis 1"},
      {slice(0, 4, 1, 2), "Slice y: steps [2], expected [1]"},
      {slice(3, 2, 1, 1), "Slice y: input [1, 4, 6, 6], channels [3, 2): out of range"},
      {slice(lowest, lowest, 1, 1), "Slice y: input [1, 4, 6, 6], channels [0, 0): out of range"},
      {onnx_graph(ints("from", {0, 0}) + ints("to", {1, 1}) + onnx_node("Slice", "x from to", "y")),
       "Slice y: starts [0, 0], ends [1, 1], expected one channel range"},
      {onnx_graph(onnx_node("Slice", "x", "y")), "Slice y: starts or ends are missing"},
      {onnx_graph(ints("s", {1, 2}) + onnx_node("Split", "x s", "a y", attribute("axis", 1))),
       "Split a: input [1, 4, 6, 6], split [1, 2] into 2 outputs: sizes differ"},
      {onnx_graph(ints("s", {5, -1}) + onnx_node("Split", "x s", "a y", attribute("axis", 1))),
       "Split a: input [1, 4, 6, 6], split [5, -1] into 2 outputs: sizes differ"},
      {onnx_graph(ints("s", {lowest, lowest}) +
                  onnx_node("Split", "x s", "a y", attribute("axis", 1))),
       "Split a: input [1, 4, 6, 6], split [-9223372036854775808, -9223372036854775808] into 2 "
       "outputs: sizes differ"},
      {onnx_graph(onnx_node("Split", "x", "a b y", attribute("axis", 1))),
       "Split a: input [1, 4, 6, 6], split [1, 1, 1] into 3 outputs: sizes differ"},
      {onnx_graph(onnx_node("Split", "x", "a y")),
       "Split a: input [1, 4, 6, 6], axis 0, expected an image and axis 1"},
      {resize("x - scales", ""),
       "Resize y: mode nearest, coordinates half_pixel, expected linear and half_pixel"},
      {resize("x - scales", linear + attribute("coordinate_transformation_mode", "align_corners")),
       "Resize y: mode linear, coordinates align_corners, expected linear and half_pixel"},
      {resize("x - deep", linear),
       "Resize y: input [1, 4, 6, 6], output [1, 8, 6, 6], expected a change of height and width "
       "alone"},
      {resize("x scales", linear), "Resize y: expected constant sizes or scales (of operator set 11 or newer)"},
      {resize("x - uneven", linear),
       "Resize y: scale 0.750000 of 6, expected a whole size; export with sizes (interpolate's size, not scale_factor)"},
      {resize("x - huge", linear), "Resize y: height 0, expected 1 to 2147483648"},
      {resize("x - - sizes", linear), "Resize y: height 0, expected 1 to 2147483648"},
      {onnx_graph(ints("axes", {2, 3}) + onnx_node("Squeeze", "x axes", "y")),
       "Squeeze y: input [1, 4, 6, 6], axes [2, 3], expected [1, C, 1, 1] and [2, 3]"},
      {onnx_graph(onnx_node("Shape", "x", "s") + ints("i", {4}) + onnx_node("Gather", "s i", "y")),
       "Gather y: index 4 of 4 values"},
      {onnx_graph(onnx_node("Constant", "", "y")),
       "Constant y: no value, expected one of value, value_float, value_int, value_ints"},
      {onnx_graph(onnx_node("Constant", "", "y", attribute("value_int", 3))),
       "onnx: output y is not made by any node"},
  });
}

TEST_CASE("Hostile names are shortened and made printable in messages") {
  const std::string bytes = onnx_graph("node { op_type: 'Re\\nlu' input: 'x' output: 'y' name: '" +
                                       std::string(5000, 'n') + "' }");
  const std::string message = message_of<DataError>([&] { import_onnx(bytes); });
  CHECK(message.find("Re_lu " + std::string(80, 'n') + "...: the operator is not supported") == 0);
}

TEST_CASE("A file of many tiny messages is refused before it is built in memory") {
  // Every node of two bytes would take a hundred times its size once parsed.
  std::string nodes;
  for (int i = 0; i < (1 << 22) + 10; ++i) nodes += std::string("\x0a\x00", 2);
  std::string bytes = std::string("\x08\x08\x3a", 3);
  for (size_t size = nodes.size(); size > 0; size >>= 7) {
    bytes += static_cast<char>((size & 127) | (size > 127 ? 128 : 0));
  }
  CHECK(message_of<DataError>([&] { import_onnx(bytes + nodes); }) ==
        "onnx: " + std::to_string(bytes.size() + nodes.size()) +
            " bytes besides weight values, expected at most 8388608");
}

TEST_CASE("Ten thousand nodes of one name take no quadratic time") {
  std::string text;
  std::string from = "x";
  for (int i = 0; i < 9000; ++i) {
    const std::string to = i == 8999 ? "y" : "v" + std::to_string(i);
    text += onnx_node("Relu", from, to, "name: 'n'");
    from = to;
  }
  CHECK(import_onnx(onnx_graph(text)).network.nodes().size() == 9001);
}

}  // namespace
}  // namespace lathe::network
