#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/rng.h"
#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::test {

/// Returns the bytes of an IDX file of unsigned bytes.
inline std::string idx_bytes(const std::vector<int64_t>& dimensions, const std::vector<uint8_t>& values) {
  std::string bytes = {0, 0, 8, static_cast<char>(dimensions.size())};
  for (const int64_t size : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((size >> shift) & 0xff);
  }
  return bytes + std::string(values.begin(), values.end());
}

inline void write_gzip(const std::filesystem::path& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb1");
  const bool written = file != nullptr && gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
                                              static_cast<int>(bytes.size());
  if (!written || gzclose(file) != Z_OK) throw std::runtime_error("cannot write " + path.string());
}

/// Images [count, size, size] in ten classes that a small network learns within some steps: a bright bar whose
/// place and direction are the class, on noise.
inline std::vector<uint8_t> bar_images(int64_t count, int64_t size, Rng rng) {
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = i % 10;
    const int64_t line = 1 + (label % 5) * (size - 2) / 5;
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) {
        const int64_t across = label < 5 ? y : x;
        const bool bright = across == line || across == line + 1;
        pixels.push_back(static_cast<uint8_t>((bright ? 180 : 20) + rng.integer(0, 60)));
      }
    }
  }
  return pixels;
}

inline std::vector<uint8_t> bar_labels(int64_t count) {
  std::vector<uint8_t> labels;
  for (int64_t i = 0; i < count; ++i) labels.push_back(static_cast<uint8_t>(i % 10));
  return labels;
}

/// Writes the two files of one part ("train" or "t10k") in the layout of Fashion-MNIST.
inline void write_bars(const std::filesystem::path& folder, const std::string& part, int64_t count, int64_t size) {
  const Rng rng(part == "train" ? 11 : 12);
  write_gzip(folder / (part + "-images-idx3-ubyte.gz"), idx_bytes({count, size, size}, bar_images(count, size, rng)));
  write_gzip(folder / (part + "-labels-idx1-ubyte.gz"), idx_bytes({count}, bar_labels(count)));
}

/// A space of two stages with everything that is elastic: depth, width, expand, kernel, resolution.
inline std::unique_ptr<search::SearchSpace> tiny_space(const std::filesystem::path& folder) {
  write_file_atomically(folder / "tiny.yaml", R"(name: tiny
input: {channels: 1, resolution: [10, 12]}
classes: 10
stem: {width: [8], kernel: 3, stride: 1, activation: relu}
stages:
  - {name: a, block: mbconv, depth: [1, 2], width: [8, 16], kernel: [3, 5], expand: [1, 2], stride: 2}
  - {name: b, block: mbconv, depth: [1, 2], width: [16, 24], kernel: [3, 5], expand: [2, 3], stride: 2, activation: hard_swish, squeeze_excite: [false, true]}
head: {width: 32, activation: relu}
)");
  return search::read_search_space(folder / "tiny.yaml");
}

/// Options for the bars on one thread.
inline supernet::SupernetOptions tiny_options(const std::filesystem::path& folder) {
  supernet::SupernetOptions options;
  options.data.path = folder;
  options.data.validation = 100;
  options.data.calibration = 100;
  options.data.augmentation = {supernet::Augmentation::kAutomatic};
  options.train.epochs = 2;
  options.train.batch = 32;
  options.train.warmup_epochs = 0.2;
  options.train.checkpoint_interval_s = 1e9;
  options.evaluation.batch = 50;
  options.seed = 3;
  options.threads = 1;
  options.device = "cpu";
  return options;
}

}  // namespace lathe::test
