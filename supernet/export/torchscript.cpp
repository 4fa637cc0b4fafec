#include "supernet/export/torchscript.h"

#include <torch/csrc/jit/api/module.h>

#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "supernet/export/forward_source.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {
namespace {

at::Tensor copied(const network::Tensor& tensor) {
  // from_blob() has no form for values that stay as they are.
  auto* values = const_cast<float*>(tensor.values.data());
  return at::from_blob(values, tensor.shape, at::kFloat).clone();
}

std::string serialised(const network::Model& model,
                       const std::map<std::string, std::string>& metadata) {
  const ForwardSource source = forward_source(model.network);
  torch::jit::Module module("lathe_network");
  for (const auto& [name, attribute] : source.parameters) {
    module.register_parameter(attribute, copied(model.weights.at(name)), /*is_buffer=*/false);
  }
  for (const auto& [name, attribute] : source.buffers) {
    module.register_buffer(attribute, copied(model.weights.at(name)));
  }
  module.register_attribute("training", c10::BoolType::get(), false);
  module.define(source.text);
  std::ostringstream bytes;
  module.save(bytes, {metadata.begin(), metadata.end()});
  return bytes.str();
}

}  // namespace

void write_torchscript(const network::Model& model, const std::filesystem::path& file,
                       const std::map<std::string, std::string>& metadata) {
  if (model.quantization) {
    throw ConfigError("torchscript " + file.string() +
                      ": the model is quantised to int8, expected a float one; an int8 model is "
                      "exported as ONNX");
  }
  network::check_weights(model.network, model.weights);
  write_file_atomically(file, serialised(model, metadata));
}

}  // namespace lathe::supernet
