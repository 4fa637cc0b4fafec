#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "network/onnx_importer.h"

namespace lathe::network {

using onnx_reader::Attributes;
using onnx_reader::fail;
using onnx_reader::printable;

namespace {

constexpr double kAttributeTolerance = 1e-6;
constexpr int64_t kMaxWindow = 1 << 20;

std::vector<int64_t> all_ones(size_t count) { return std::vector<int64_t>(count, 1); }

/// Turns [in, out] into [out, in].
Tensor transposed_matrix(const Tensor& matrix) {
  const int64_t rows = matrix.shape[0];
  const int64_t columns = matrix.shape[1];
  Tensor result{{columns, rows}, std::vector<float>(matrix.values.size())};
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      result.values[static_cast<size_t>(column * rows + row)] =
          matrix.values[static_cast<size_t>(row * columns + column)];
    }
  }
  return result;
}

void scale_values(Tensor& tensor, double factor) {
  for (float& value : tensor.values) value = static_cast<float>(double{value} * factor);
}

}  // namespace

// Windows.

/// Returns the one size of a square window or stride.
int64_t OnnxImporter::square_window(const Node& node, const char* what,
                                    const std::vector<int64_t>& values) const {
  const bool square = values.size() == 2 && values[0] == values[1];
  if (square && values[0] > 0 && values[0] <= kMaxWindow) return values[0];
  fail(node, std::string(what) + " = " + to_string(values) + ", expected two equal sizes");
}

/// Returns the padding that is the same on all four sides.
int64_t OnnxImporter::symmetric_padding(const Node& node, const std::vector<int64_t>& kernel,
                                        int64_t stride, Attributes& attributes,
                                        const Shape& image) const {
  const std::string mode = attributes.text("auto_pad", "NOTSET");
  std::vector<int64_t> pads = attributes.integers("pads").value_or(std::vector<int64_t>(4, 0));
  if (mode == "VALID") {
    pads.assign(4, 0);
  } else if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    if (image.size() != 4 || stride < 1) fail(node, "auto_pad needs an image and a stride");
    pads.assign(4, 0);
    for (size_t axis = 0; axis < 2; ++axis) {
      const int64_t size = image[axis + 2];
      const int64_t room = size % stride == 0 ? stride : size % stride;
      const int64_t total = std::max<int64_t>(kernel[axis] - room, 0);
      pads[axis] = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      pads[axis + 2] = total - pads[axis];
    }
  } else if (mode != "NOTSET") {
    fail(node, "auto_pad = " + printable(mode) + ", expected NOTSET");
  }
  const bool good = pads.size() == 4 && std::count(pads.begin(), pads.end(), pads[0]) == 4;
  if (!good) {
    fail(node, "pads = " + to_string(pads) + ", expected the same padding on all four sides");
  }
  return pads[0];
}

void OnnxImporter::read_conv(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  const onnx::TensorProto& weight = required_constant(node, 1);
  const onnx::TensorProto* bias = constant_input(node, 2);
  require_outputs(node, 1);
  const Shape shape = onnx_reader::tensor_shape(weight, limits_.max_parameters);
  if (shape.size() != 4) fail(node, "weight " + to_string(shape) + ", expected four dimensions");
  Attributes attributes(node);
  const std::vector<int64_t> size = {shape[2], shape[3]};
  const std::vector<int64_t> kernel = attributes.integers("kernel_shape").value_or(size);
  if (kernel != size) {
    fail(node, "kernel_shape = " + to_string(kernel) + ", weight " + to_string(shape));
  }
  const auto dilations = attributes.integers("dilations").value_or(all_ones(2));
  if (dilations != all_ones(2)) {
    fail(node, "dilations = " + to_string(dilations) + ", expected [1, 1]");
  }
  Conv2d op;
  op.out_channels = shape[0];
  op.kernel = square_window(node, "kernel_shape", kernel);
  op.stride = square_window(node, "strides", attributes.integers("strides").value_or(all_ones(2)));
  op.padding = symmetric_padding(node, kernel, op.stride, attributes, shape_of(input));
  op.groups = attributes.integer("group", 1);
  op.bias = bias != nullptr;
  op.activation = fused_activation();
  attributes.finish();
  std::vector<Source> sources = {{&weight, {}, 0}};
  if (bias != nullptr) sources.push_back({bias, {}, 0});
  set_tensor(node, add_with_parameters(node, unique_node_name(node), op, input, sources));
}

void OnnxImporter::read_pool(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  const auto kernel = attributes.integers("kernel_shape");
  if (!kernel) fail(node, "attribute kernel_shape is missing");
  const int64_t size = square_window(node, "kernel_shape", *kernel);
  const int64_t stride =
      square_window(node, "strides", attributes.integers("strides").value_or(all_ones(2)));
  const int64_t padding = symmetric_padding(node, *kernel, stride, attributes, shape_of(input));
  attributes.require("ceil_mode", 0, 0);
  const auto dilations = attributes.integers("dilations").value_or(all_ones(2));
  if (dilations != all_ones(2)) {
    fail(node, "dilations = " + to_string(dilations) + ", expected [1, 1]");
  }
  const bool average = node.op_type() == "AveragePool";
  if (average && padding > 0) {
    attributes.require("count_include_pad", 0, 0);
  } else {
    attributes.ignore(average ? "count_include_pad" : "storage_order");
  }
  attributes.finish();
  const Operator op = average ? Operator(AveragePool{size, stride, padding})
                              : Operator(MaxPool{size, stride, padding});
  set_tensor(node, add(node, unique_node_name(node), op, {input}));
}

void OnnxImporter::read_global_average_pool(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes(node).finish();
  set_tensor(node, add(node, unique_node_name(node), GlobalAveragePool{}, {input}));
}

void OnnxImporter::read_reduce_mean(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  std::vector<int64_t> axes =
      integers(node, 1, "axes", attributes).value_or(std::vector<int64_t>());
  const int64_t keep = attributes.integer("keepdims", 1);
  attributes.ignore("noop_with_empty_axes");
  attributes.finish();
  const std::vector<int64_t> given = axes;
  for (int64_t& axis : axes) axis = axis < 0 ? axis + 4 : axis;
  std::sort(axes.begin(), axes.end());
  if (axes != std::vector<int64_t>{2, 3}) {
    fail(node, "axes = " + to_string(given) + ", expected height and width: [2, 3]");
  }
  const std::string name = unique_node_name(node);
  NodeId result = add(node, name, GlobalAveragePool{}, {input});
  if (keep == 0) result = add(node, unique_name(name + "/flatten"), Flatten{}, {result});
  set_tensor(node, result);
}

// Normalisation and activations.

void OnnxImporter::read_batch_normalization(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  std::vector<Source> sources;
  for (int i = 1; i <= 4; ++i) sources.push_back({&required_constant(node, i), {}, 0});
  require_outputs(node, 1);
  Attributes attributes(node);
  const BatchNorm op{attributes.real("epsilon", 1e-5)};
  attributes.require("training_mode", 0, 0);
  attributes.ignore("momentum");
  attributes.finish();
  const NodeId id = add_with_parameters(node, unique_node_name(node), op, input, sources);
  const auto variance = weights_.find(network_.node(id).parameters[3].name);
  if (variance != weights_.end()) {
    for (const float value : variance->second.values) {
      if (value < 0.0F) fail(node, "variance " + std::to_string(value) + ", expected 0 or more");
    }
  }
  set_tensor(node, id);
}

void OnnxImporter::read_simple_activation(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes(node).finish();
  const std::string& type = node.op_type();
  const ActivationKind kind = type == "Relu"        ? ActivationKind::Relu
                              : type == "HardSwish" ? ActivationKind::HardSwish
                                                    : ActivationKind::Sigmoid;
  set_tensor(node, add(node, unique_node_name(node), Activation{kind}, {input}));
}

void OnnxImporter::read_hard_sigmoid(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  const double alpha = attributes.real("alpha", 0.2);
  const double beta = attributes.real("beta", 0.5);
  attributes.finish();
  if (std::abs(alpha - 1.0 / 6.0) > kAttributeTolerance ||
      std::abs(beta - 0.5) > kAttributeTolerance) {
    fail(node, "alpha = " + std::to_string(alpha) + ", beta = " + std::to_string(beta) +
                   ", expected 1/6 and 1/2");
  }
  const Activation op{ActivationKind::HardSigmoid};
  set_tensor(node, add(node, unique_node_name(node), op, {input}));
}

void OnnxImporter::read_clip(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  const double infinity = std::numeric_limits<float>::max();
  double bounds[] = {attributes.real("min", -infinity), attributes.real("max", infinity)};
  attributes.finish();
  for (const int side : {0, 1}) {
    const onnx::TensorProto* bound = constant_input(node, side + 1);
    if (bound != nullptr) bounds[side] = double{onnx_reader::read_floats(*bound, 1).values[0]};
  }
  if (bounds[0] != 0.0 || (bounds[1] != 6.0 && bounds[1] < infinity)) {
    fail(node, "bounds " + std::to_string(bounds[0]) + " and " + std::to_string(bounds[1]) +
                   ", expected 0 and 6");
  }
  const Activation op{bounds[1] == 6.0 ? ActivationKind::Relu6 : ActivationKind::Relu};
  set_tensor(node, add(node, unique_node_name(node), op, {input}));
}

// Element-wise operators.

void OnnxImporter::read_add(const Node& node) {
  const auto product = patterns_.biased_products.find(index_);
  if (product != patterns_.biased_products.end()) {
    const Node& mat_mul = graph_.node(product->second);
    const int side = node.input(0) == mat_mul.output(0) ? 1 : 0;
    require_outputs(node, 1);
    Attributes(node).finish();
    const NodeId sum = add_product(mat_mul, &required_constant(node, side));
    return set_tensor(node, sum);
  }
  const NodeId left = tensor_input(node, 0);
  const NodeId right = tensor_input(node, 1);
  require_outputs(node, 1);
  Attributes(node).finish();
  set_tensor(node, add(node, unique_node_name(node), Add{fused_activation()}, {left, right}));
}

void OnnxImporter::read_mul(const Node& node) {
  NodeId value = tensor_input(node, 0);
  NodeId gate = tensor_input(node, 1);
  require_outputs(node, 1);
  Attributes(node).finish();
  if (element_count(shape_of(value)) < element_count(shape_of(gate))) std::swap(value, gate);
  set_tensor(node, add(node, unique_node_name(node), Multiply{}, {value, gate}));
}

void OnnxImporter::read_concat(const Node& node) {
  if (node.input_size() > 0 && is_constant(node.input(0))) return read_constant_concat(node);
  std::vector<NodeId> inputs;
  for (int i = 0; i < node.input_size(); ++i) inputs.push_back(tensor_input(node, i));
  require_outputs(node, 1);
  Attributes attributes(node);
  const int64_t axis = attributes.integer("axis", 0);
  attributes.finish();
  if (axis != 1 && axis != -3) fail(node, "axis = " + std::to_string(axis) + ", expected 1");
  set_tensor(node, add(node, unique_node_name(node), Concat{}, inputs));
}

// Linear layers.

NodeId OnnxImporter::add_linear(const Node& node, const LinearSource& source) {
  const Shape shape = onnx_reader::tensor_shape(*source.weight, limits_.max_parameters);
  if (shape.size() != 2) fail(node, "weight " + to_string(shape) + ", expected two dimensions");
  const int64_t out = source.transposed ? shape[0] : shape[1];
  const int64_t in = source.transposed ? shape[1] : shape[0];
  const NodeId input = tensor_input(node, 0);
  const Shape& image = shape_of(input);
  if (image.size() == 2 && image[1] != in) {
    fail(node, "input " + to_string(image) + ", weight " + to_string(shape) + ": features differ");
  }
  Source weight{source.weight, {}, source.transposed ? 0 : 1};
  if (dequantized(source.weight) != nullptr && (source.alpha != 1.0 || source.beta != 1.0)) {
    fail(node, "alpha = " + std::to_string(source.alpha) + ", beta = " +
                   std::to_string(source.beta) + ", expected 1 for a quantised weight");
  }
  if (!source.transposed || source.alpha != 1.0) {
    weight.convert = [source](Tensor values) {
      if (!source.transposed) values = transposed_matrix(values);
      scale_values(values, source.alpha);
      return values;
    };
  }
  std::vector<Source> sources = {weight};
  if (source.bias != nullptr) {
    Source bias{source.bias, {}, 0};
    const Shape bias_shape = onnx_reader::tensor_shape(*source.bias, limits_.max_parameters);
    const int64_t values = element_count(bias_shape);
    const bool row = values == out && (bias_shape.empty() || bias_shape.back() == out);
    if (!row && values != 1) {
      fail(node, "bias " + to_string(bias_shape) + ", expected [" + std::to_string(out) + "]");
    }
    if (bias_shape != Shape{out} || source.beta != 1.0) {
      bias.convert = [source, out](Tensor given) {
        given.values.resize(static_cast<size_t>(out), given.values[0]);
        given.shape = {out};
        scale_values(given, source.beta);
        return given;
      };
    }
    sources.push_back(bias);
  }
  Linear op{out, source.bias != nullptr, fused_activation()};
  return add_with_parameters(node, unique_node_name(node), op, input, sources);
}

void OnnxImporter::read_gemm(const Node& node) {
  require_outputs(node, 1);
  Attributes attributes(node);
  attributes.require("transA", 0, 0);
  LinearSource source;
  source.transposed = attributes.integer("transB", 0) != 0;
  source.alpha = attributes.real("alpha", 1.0);
  source.beta = attributes.real("beta", 1.0);
  attributes.ignore("broadcast");
  attributes.finish();
  if (!std::isfinite(source.alpha) || !std::isfinite(source.beta)) {
    fail(node, "alpha and beta must be finite numbers");
  }
  source.weight = &required_constant(node, 1);
  source.bias = constant_input(node, 2);
  set_tensor(node, add_linear(node, source));
}

NodeId OnnxImporter::add_product(const Node& node, const onnx::TensorProto* bias) {
  Attributes(node).finish();
  LinearSource source;
  source.weight = &required_constant(node, 1);
  source.bias = bias;
  return add_linear(node, source);
}

void OnnxImporter::read_mat_mul(const Node& node) {
  require_outputs(node, 1);
  set_tensor(node, add_product(node, nullptr));
}

}  // namespace lathe::network
