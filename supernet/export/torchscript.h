#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "network/network.h"

namespace lathe::supernet {

/// Writes a float model as TorchScript: a module whose forward(input [N, C, H, W]) returns what
/// run_reference does, for any N, on any device that it is moved to, in every program that calls
/// torch::jit::load (Python's torch.jit.load, too). Weights do not ask for gradients. `metadata`
/// becomes the file's extra files. Operators are written as they stand; deploy() the model first
/// for speed. The file is replaced whole or not at all. Thread-safe.
/// \throws ConfigError if the model is quantised; InvariantError naming a parameter that is missing
/// or of another shape; DataError naming the file and the system's reason if it cannot be written.
void write_torchscript(const network::Model& model, const std::filesystem::path& file,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace lathe::supernet
