#include "cli/pipeline/model_file.h"

#include "core/error.h"
#include "network/onnx.h"

namespace lathe::cli {

network::Model read_model_of_space(const std::filesystem::path& file,
                                   const search::SearchSpace& space, const std::string& role) {
  const network::Network largest = space.lower(space.largest());
  network::Model model = network::read_onnx_file(file);
  if (model.quantization) {
    throw ConfigError(file.string() + ": is quantised, expected " + role + " of floats");
  }
  if (model.network.input_shape()[1] != largest.input_shape()[1] ||
      model.network.output_shape() != largest.output_shape()) {
    throw ConfigError(
        file.string() + ": input " + network::to_string(model.network.input_shape()) + ", output " +
        network::to_string(model.network.output_shape()) + ", expected " + role +
        " of the space's channels and classes: " + network::to_string(largest.input_shape()) +
        " and " + network::to_string(largest.output_shape()));
  }
  return model;
}

}  // namespace lathe::cli
