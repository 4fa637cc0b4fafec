#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lathe::network {

class Network;
struct Model;
struct Node;
struct Tensor;

/// How the values of a tensor stand for real numbers: real = scale * (q - zero_point) with q in
/// [-128, 127].
struct TensorScale {
  float scale = 1.0F;
  int32_t zero_point = 0;

  /// Rounds to the nearest step (halves to even) and saturates.
  int8_t quantize(float value) const;
  float dequantize(int8_t value) const;
  bool operator==(const TensorScale& other) const {
    return scale == other.scale && zero_point == other.zero_point;
  }
  bool operator!=(const TensorScale& other) const { return !(*this == other); }
};

/// What makes a model an int8 model. Its Weights stay float and hold exactly the values that the
/// integers stand for, so whoever knows nothing of this computes nearly the same.
///
/// Weights of Conv2d and Linear are integers in [-127, 127] with one scale an output channel; their
/// biases are 32-bit integers at the input's scale times the channel's. BatchNorms keep floats.
///
/// What is not listed is float: a tensor without a scale holds floats, a layer whose weight has
/// none computes in float. Such islands read what the integers before them stand for, and their
/// result is rounded at once where it is listed in `outputs`.
struct Quantization {
  std::map<std::string, TensorScale> outputs;         ///< of nodes with integers, by name
  std::map<std::string, std::vector<float>> weights;  ///< by parameter; one an output channel
};

/// Whether `node` computes in integers: a layer whose weight is quantised, or another node whose
/// inputs and output are. The input does if its image is quantised.
bool computes_in_integers(const Network& network, const Quantization& quantization,
                          const Node& node);

/// Returns the names of the nodes that the output needs and that compute in float, in order.
std::vector<std::string> float_nodes(const Network& network, const Quantization& quantization);

/// Returns what keeps `model` from running in int8 ("conv2d stem: its output is not quantised"), or
/// nothing if it can. A model without quantization has one fault.
std::string quantization_fault(const Model& model);

/// Returns the integers of a weight [out, ...].
std::vector<int8_t> quantized_weight(const Tensor& weight, const std::vector<float>& scales);

/// Returns the integers of a bias [out] at scales `input_scale` * `scales`, saturated.
std::vector<int32_t> quantized_bias(const Tensor& bias, float input_scale,
                                    const std::vector<float>& scales);

/// Gives a bias [out] the values that its integers stand for.
void round_bias(Tensor& bias, float input_scale, const std::vector<float>& scales);

}  // namespace lathe::network
