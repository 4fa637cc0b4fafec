#pragma once

#include <filesystem>
#include <memory>
#include <vector>

/// A network read from an ONNX file; opencv_network.cpp or onnxruntime_network.cpp, as CMake chose.
class Network {
 public:
  virtual ~Network() = default;

  /// Returns the logits of one image [1, channels, height, width], one a class.
  /// \throws std::runtime_error if the network does not take it.
  virtual std::vector<float> logits(std::vector<float> image, int channels, int height,
                                    int width) = 0;
};

/// \throws std::runtime_error naming the file and why it cannot be read or run.
std::unique_ptr<Network> load_network(const std::filesystem::path& file);
