#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe::supernet {

/// One decoded image: values [height, width, channels], RGB or grey.
struct DecodedImage {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> values;
};

/// Whether the name ends as that of an image that decode_image() reads (png, jpg, jpeg, bmp, webp,
/// ppm, pgm, tif, tiff, in any case).
bool is_image_name(const std::filesystem::path& path);

/// Decodes the image file as RGB (`channels` 3) or grey (1): transparency is dropped, 16 bits
/// become 8, a camera's rotation is applied. Thread-safe. \throws DataError beginning with `where`
/// if the file cannot be read, is no image or ends early.
DecodedImage decode_image(const std::filesystem::path& path, int64_t channels,
                          const std::string& where);

/// Returns the centre square of the image after its shorter side was brought to `side`: by the
/// means of areas when it gets smaller, bilinear when it gets larger.
DecodedImage resampled(const DecodedImage& image, int64_t side);

/// Returns height and width of the PNG file from its header.
/// \throws DataError naming the file if it is no PNG of 8-bit RGB.
std::pair<int64_t, int64_t> read_png_size(const std::filesystem::path& path);

/// Copies values [height, width, channels] to `target` [channels, height, width].
void to_planes(const DecodedImage& image, uint8_t* target);

}  // namespace lathe::supernet
