#include "network/onnx_quantized_writer.h"

#include <onnx/onnx_pb.h>

#include "network/network.h"
#include "network/onnx_attributes.h"

namespace lathe::network {
namespace {

/// Adds an initialiser of `shape`; a scalar has shape (), or ONNX Runtime does not fuse.
template <typename T>
void add_tensor(onnx::GraphProto& graph, const std::string& name, int type, const Shape& shape,
                const std::vector<T>& values) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const int64_t dimension : shape) tensor.add_dims(dimension);
  tensor.set_raw_data(values.data(), values.size() * sizeof(T));
}

onnx::NodeProto& add_node(onnx::GraphProto& graph, const char* type, const QuantizedNames& names,
                          const std::string& from, const std::string& to) {
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(type);  // without a name: of two hundred such nodes they fill kilobytes
  for (const std::string& input : {from, names.scale, names.zero_point}) node.add_input(input);
  node.add_output(to);
  return node;
}

void dequantize_channels(onnx::GraphProto& graph, const QuantizedNames& names) {
  onnx::NodeProto& node = add_node(graph, "DequantizeLinear", names, names.integers, names.value);
  onnx_writer::add_integer(node, "axis", 0);
}

}  // namespace

void write_zero_points(onnx::GraphProto& graph, const std::string& name, int type,
                       const std::vector<int64_t>& shape, int32_t value) {
  const auto count = static_cast<size_t>(element_count(shape));
  if (type == onnx::TensorProto::INT8) {
    add_tensor(graph, name, type, shape, std::vector<int8_t>(count, static_cast<int8_t>(value)));
  } else {
    add_tensor(graph, name, type, shape, std::vector<int32_t>(count, value));
  }
}

void write_quantized_weight(onnx::GraphProto& graph, const QuantizedNames& names,
                            const Tensor& weight, const std::vector<float>& scales) {
  const Shape channels = {static_cast<int64_t>(scales.size())};
  add_tensor(graph, names.integers, onnx::TensorProto::INT8, weight.shape,
             quantized_weight(weight, scales));
  add_tensor(graph, names.scale, onnx::TensorProto::FLOAT, channels, scales);
  dequantize_channels(graph, names);
}

void write_quantized_bias(onnx::GraphProto& graph, const QuantizedNames& names, const Tensor& bias,
                          float input_scale, const std::vector<float>& scales) {
  const Shape channels = {static_cast<int64_t>(scales.size())};
  std::vector<float> products;
  for (const float scale : scales) products.push_back(input_scale * scale);
  add_tensor(graph, names.integers, onnx::TensorProto::INT32, channels,
             quantized_bias(bias, input_scale, scales));
  add_tensor(graph, names.scale, onnx::TensorProto::FLOAT, channels, products);
  dequantize_channels(graph, names);
}

void write_quantized_value(onnx::GraphProto& graph, const QuantizedNames& names,
                           const std::string& from, const TensorScale& scale) {
  add_tensor(graph, names.scale, onnx::TensorProto::FLOAT, {}, std::vector<float>{scale.scale});
  add_node(graph, "QuantizeLinear", names, from, names.integers);
  add_node(graph, "DequantizeLinear", names, names.integers, names.value);
}

}  // namespace lathe::network
