#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// What lathe's preprocessing.json says of a network's input and of its classes.
struct Preprocessing {
  int channels = 0;  ///< 1: grey, 3: RGB
  int height = 0;
  int width = 0;
  int image_height = 0;  ///< of the data set's images, which were brought to the input's size
  int image_width = 0;
  std::vector<float> mean;  ///< a channel, of pixels between 0 and 1
  std::vector<float> std;
  std::vector<std::string> classes;
};

/// \throws std::runtime_error naming the file, and the key that is missing or wrong.
Preprocessing read_preprocessing(const std::filesystem::path& file);
