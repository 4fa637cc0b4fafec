#include "network/onnx_check.h"

#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <climits>
#include <exception>

#include "core/error.h"

namespace lathe::network {

void check_onnx(const std::string& bytes) {
  onnx::ModelProto model;
  if (bytes.size() > INT_MAX ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw DataError("onnx checker: " + std::to_string(bytes.size()) +
                    " bytes that are not an ONNX model");
  }
  try {
    onnx::checker::check_model(model);
    const onnx::ShapeInferenceOptions strict(/*check_type=*/true, /*strict_mode=*/1,
                                             /*data_prop=*/true);
    onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(), strict);
  } catch (const std::exception& error) {
    throw DataError(std::string("onnx checker: ") + error.what());
  }
}

}  // namespace lathe::network
