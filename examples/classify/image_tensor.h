#pragma once

#include <filesystem>
#include <vector>

#include "preprocessing.h"

/// Reads an image file (PNG, JPEG, ...) as the network expects it: grey or RGB, scaled until it
/// covers the network's size, its centre cut out, divided by 255 and normalised. Returns values
/// [1, channels, height, width]. \throws std::runtime_error naming the file if it is no complete
/// image.
std::vector<float> image_tensor(const std::filesystem::path& file, const Preprocessing& wanted);
