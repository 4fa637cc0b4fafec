#include "network/onnx_parameters.h"

#include <onnx/onnx_pb.h>

#include <map>

namespace lathe::network {

void write_parameters(const Network& network, const Weights* weights, uint64_t seed,
                      const Quantization* quantization, onnx::GraphProto& graph) {
  std::map<std::string, Shape> written;
  for (const Node& node : network.nodes()) {
    const bool integers = quantization != nullptr && !node.parameters.empty() &&
                          quantization->weights.count(node.parameters[0].name) != 0;
    for (const Parameter& parameter : node.parameters) {
      const auto [place, added] = written.emplace(parameter.name, parameter.shape);
      if (!added && place->second != parameter.shape) {
        throw InvariantError("onnx: parameter " + parameter.name + " has shapes " +
                             to_string(place->second) + " and " + to_string(parameter.shape) +
                             ", expected one (deploy separates shared tensors)");
      }
      if (!added || integers) continue;
      onnx::TensorProto& tensor = *graph.add_initializer();
      tensor.set_name(parameter.name);
      tensor.set_data_type(onnx::TensorProto::FLOAT);
      for (const int64_t dimension : parameter.shape) tensor.add_dims(dimension);
      if (weights != nullptr) {
        const std::vector<float>& values = weights->at(parameter.name).values;
        tensor.set_raw_data(values.data(), values.size() * sizeof(float));
        continue;
      }
      tensor.set_data_location(onnx::TensorProto::EXTERNAL);
      onnx::StringStringEntryProto& location = *tensor.add_external_data();
      location.set_key("location");
      location.set_value("lathe:random?seed=" + std::to_string(seed));
    }
  }
}

}  // namespace lathe::network
