#include "tests/support/integer_executor.h"

#include "network/quantized_executor.h"

namespace lathe::test {
namespace {

using namespace network;

Tensor dequantized(const IntegerTensor& tensor, const TensorScale& scale) {
  Tensor result{tensor.shape, {}};
  for (const int8_t value : tensor.values) result.values.push_back(scale.dequantize(value));
  return result;
}

IntegerTensor quantized(const Tensor& tensor, const TensorScale& scale) {
  IntegerTensor result{tensor.shape, {}};
  for (const float value : tensor.values) result.values.push_back(scale.quantize(value));
  return result;
}

}  // namespace

IntegerTensor run_integer_node(const Model& model, const Node& node,
                               const std::vector<const IntegerTensor*>& inputs) {
  const auto& scales = model.quantization->outputs;
  std::vector<Tensor> floats;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = model.network.node(node.inputs[i]).name;
    floats.push_back(dequantized(*inputs[i], scales.at(name)));
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& tensor : floats) pointers.push_back(&tensor);
  return quantized(run_quantized_node(model, node, pointers), scales.at(node.name));
}

std::vector<IntegerTensor> run_integers(const Model& model, const Tensor& image) {
  std::vector<IntegerTensor> values;
  run_quantized(model, image, [&](const Node& node, const Tensor& output) {
    values.push_back(quantized(output, model.quantization->outputs.at(node.name)));
  });
  return values;
}

}  // namespace lathe::test
