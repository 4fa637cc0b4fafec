#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::study {

/// Seconds of one image on the XNNPACK engine, one thread: medians over blocks that alternate
/// between the two.
struct Int8Speed {
  std::string engine;  ///< name and version
  double fp32_s = 0.0;
  double int8_s = 0.0;
  double ratio() const { return fp32_s / int8_s; }
};

/// Measures a float model and its int8 form.
Int8Speed int8_speed(const network::Model& floats, const network::Model& integers);

/// Returns the engine's class of every image [N, C, H, W] of an ONNX file in int8.
std::vector<int64_t> engine_classes(const std::string& onnx, const network::Tensor& images);

/// Returns the index of the largest of each row of [N, classes].
std::vector<int64_t> top_classes(const network::Tensor& logits);

/// Measures pairs of files, NAME.onnx and NAME.int8.onnx: on another build of the engine, say.
int int8_speed_main(int argc, char** argv);

}  // namespace lathe::study
