#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::supernet {

/// Decoded images of one size with their labels. Value type.
struct ImageSet {
  int64_t count = 0, channels = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels;  ///< [count, channels, height, width]
  std::vector<int64_t> labels;  ///< [count], each in [0, classes)

  int64_t image_size() const { return channels * height * width; }
  const uint8_t* image(int64_t index) const { return pixels.data() + index * image_size(); }
};

/// What is known of a data set without reading its images.
struct DatasetInfo {
  std::string name;
  int64_t channels = 0, height = 0, width = 0, classes = 0;
  int64_t train = 0, test = 0;  ///< images in the files
  std::vector<std::string> class_names;
  std::vector<double> mean;                ///< per channel, of pixels scaled to 0..1
  std::vector<double> standard_deviation;  ///< per channel
};

}  // namespace lathe::supernet
