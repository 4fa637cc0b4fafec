#pragma once

#include <string>
#include <vector>

#include "network/quantization.h"

namespace onnx {
class GraphProto;
}  // namespace onnx

namespace lathe::network {

struct Tensor;

/// What the parts of a value that passes through integers are called in a graph.
struct QuantizedNames {
  std::string value;  ///< the floats that DequantizeLinear makes
  std::string integers;
  std::string scale;
  std::string zero_point;  ///< an initialiser that is there already
};

/// Adds zero points of one `value`: int8 or int32 (`type` of onnx::TensorProto).
void write_zero_points(onnx::GraphProto& graph, const std::string& name, int type,
                       const std::vector<int64_t>& shape, int32_t value);

/// Adds a weight as int8 values and a DequantizeLinear along axis 0.
void write_quantized_weight(onnx::GraphProto& graph, const QuantizedNames& names,
                            const Tensor& weight, const std::vector<float>& scales);

/// Adds a bias as int32 values and a DequantizeLinear at scales `input_scale` * `scales`.
void write_quantized_bias(onnx::GraphProto& graph, const QuantizedNames& names, const Tensor& bias,
                          float input_scale, const std::vector<float>& scales);

/// Adds QuantizeLinear and DequantizeLinear behind the value `from`.
void write_quantized_value(onnx::GraphProto& graph, const QuantizedNames& names,
                           const std::string& from, const TensorScale& scale);

}  // namespace lathe::network
