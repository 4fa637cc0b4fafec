// What needs no decoder: names, headers and the order of bytes.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "supernet/data/image_decoder.h"

namespace lathe::supernet {

bool is_image_name(const std::filesystem::path& path) {
  static constexpr std::array<const char*, 9> kEndings = {".png", ".jpg", ".jpeg", ".bmp", ".webp",
                                                          ".ppm", ".pgm", ".tif",  ".tiff"};
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

std::pair<int64_t, int64_t> read_png_size(const std::filesystem::path& path) {
  static const std::string kBegin("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  std::array<char, 26> header = {};
  std::ifstream file(path, std::ios::binary);
  file.read(header.data(), header.size());
  if (!file || std::memcmp(header.data(), kBegin.data(), kBegin.size()) != 0 || header[24] != 8 ||
      header[25] != 2) {
    throw DataError(path.string() + ": not a PNG file of 8-bit RGB");
  }
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<uint8_t>(header[i]);
    return value;
  };
  return {number(20), number(16)};
}

void to_planes(const DecodedImage& image, uint8_t* target) {
  const int64_t pixels = image.height * image.width;
  const uint8_t* from = image.values.data();
  if (image.channels == 1) {
    std::copy(from, from + pixels, target);
    return;
  }
  uint8_t* red = target;
  uint8_t* green = red + pixels;
  uint8_t* blue = green + pixels;
  for (int64_t i = 0; i < pixels; ++i) {
    red[i] = from[3 * i];
    green[i] = from[3 * i + 1];
    blue[i] = from[3 * i + 2];
  }
}

}  // namespace lathe::supernet
