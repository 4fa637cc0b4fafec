#pragma once

#include <string>

namespace lathe::network {

/// Runs the ONNX library's checker and strict shape inference on a model with its weights inside.
/// Needs the full onnx library; host only (the agent does not link it).
/// \throws DataError with the checker's message if the model is not valid ONNX.
void check_onnx(const std::string& bytes);

}  // namespace lathe::network
