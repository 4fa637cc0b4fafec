#include "supernet/data/image_cache.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mapped_file.h"
#include "supernet/data/parallel.h"

namespace lathe::supernet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPixelsAt = 4096;
constexpr uint32_t kVersion = 1;

/// The beginning of a cache file, in this machine's byte order. Pixels follow at kPixelsAt.
struct Header {
  std::array<char, 8> magic = {'L', 'T', 'H', 'I', 'M', 'A', 'G', 'E'};
  uint32_t version = kVersion;
  uint32_t channels = 0;
  int64_t count = 0, height = 0, width = 0;
  std::array<double, 4> mean = {}, standard_deviation = {};
  std::array<char, 64> key = {};  ///< SHA-256 of the source's key
  uint64_t pixels_checksum = 0;
  uint64_t checksum = 0;  ///< of all of the above
};
static_assert(sizeof(Header) < kPixelsAt);

/// Every step is a bijection of a lane for a given word, so no change of one word goes unseen.
uint64_t checksum(const uint8_t* bytes, size_t size) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15ULL;
  std::array<uint64_t, 4> lanes = {1, 2, 3, 4};
  const auto mix = [](uint64_t lane, uint64_t word) {
    lane = (lane ^ word) * kFactor;
    return lane ^ (lane >> 29);
  };
  size_t at = 0;
  for (; at + 32 <= size; at += 32) {
    std::array<uint64_t, 4> words;
    std::memcpy(words.data(), bytes + at, 32);
    for (size_t l = 0; l < 4; ++l) lanes[l] = mix(lanes[l], words[l]);
  }
  for (; at < size; ++at) lanes[0] = mix(lanes[0], bytes[at]);
  uint64_t sum = size;
  for (const uint64_t lane : lanes) sum = mix(sum, lane);
  return sum;
}

uint64_t header_checksum(const Header& header) {
  return checksum(reinterpret_cast<const uint8_t*>(&header), offsetof(Header, checksum));
}

std::array<char, 64> digest(const std::string& text) {
  std::array<char, 64> digits = {};
  const std::string hex = sha256_hex(text);
  std::copy(hex.begin(), hex.end(), digits.begin());
  return digits;
}

/// The folder of the data is part of the name, so that a changed data set replaces its old file.
fs::path cache_file(const ImageSource& source, const fs::path& folder) {
  return folder / (source.name() + "-" + sha256_hex(source.place()).substr(0, 12) + ".images");
}

CachedImages opened(const Header& header, std::shared_ptr<const Mapping> file) {
  CachedImages images;
  images.shape = {header.channels, header.height, header.width};
  const uint8_t* pixels = file->data() + kPixelsAt;
  images.pixels = {std::move(file), pixels};
  const auto channels = static_cast<size_t>(header.channels);
  images.statistics.mean.assign(header.mean.begin(), header.mean.begin() + channels);
  images.statistics.standard_deviation.assign(header.standard_deviation.begin(),
                                              header.standard_deviation.begin() + channels);
  return images;
}

/// What is wrong with a cache file; empty: nothing.
std::string damage(const Mapping& file, const Header& header) {
  if (file.size() < kPixelsAt) return "shorter than its header";
  if (header.magic != Header().magic || header.checksum != header_checksum(header)) {
    return "its header is damaged";
  }
  if (header.version != kVersion) return {};  // of another lathe; compared with the key
  const ImageShape shape{header.channels, header.height, header.width};
  const auto bytes = static_cast<size_t>(header.count * shape.size());
  if (file.size() != kPixelsAt + bytes) {
    return std::to_string(file.size()) + " bytes, expected " + std::to_string(kPixelsAt + bytes);
  }
  if (checksum(file.data() + kPixelsAt, bytes) != header.pixels_checksum) {
    return "its pixels are damaged";
  }
  return {};
}

std::optional<CachedImages> read_cache(const fs::path& path, const std::array<char, 64>& key) {
  auto file = map_file(path);
  if (!file) return std::nullopt;
  Header header;
  std::memcpy(&header, file->data(), std::min(sizeof header, file->size()));
  const std::string fault = damage(*file, header);
  if (!fault.empty()) {
    log::warning("a file of decoded images is damaged and is made again",
                 {{"file", path.string()}, {"reason", fault}});
    return std::nullopt;
  }
  if (header.version != kVersion || header.key != key) return std::nullopt;
  return opened(header, std::move(file));
}

/// Runs `f`, which writes a cache file; what fails says how to go on.
template <typename F>
auto with_advice(F&& f) {
  try {
    return f();
  } catch (const DataError& error) {
    throw DataError(std::string(error.what()) +
                    "; decoded images are kept there: make room, or name another folder with "
                    "data.cache");
  }
}

void write_cache(const ImageSource& source, MappedFileWriter& writer,
                 const std::array<char, 64>& key) {
  const ImageShape shape = source.shape();
  const auto bytes = static_cast<size_t>(source.count() * shape.size());
  uint8_t* start = with_advice([&] { return writer.allocate(kPixelsAt + bytes); });
  source.decode(shape, start + kPixelsAt);
  const PixelStatistics statistics = pixel_statistics(shape, source.count(), start + kPixelsAt);
  Header header;
  header.channels = static_cast<uint32_t>(shape.channels);
  header.count = source.count();
  header.height = shape.height;
  header.width = shape.width;
  std::copy(statistics.mean.begin(), statistics.mean.end(), header.mean.begin());
  std::copy(statistics.standard_deviation.begin(), statistics.standard_deviation.end(),
            header.standard_deviation.begin());
  header.key = key;
  header.pixels_checksum = checksum(start + kPixelsAt, bytes);
  header.checksum = header_checksum(header);
  std::memcpy(start, &header, sizeof header);
  with_advice([&] { writer.commit(); });
}

}  // namespace

PixelStatistics pixel_statistics(const ImageShape& shape, int64_t count, const uint8_t* pixels) {
  const int64_t plane = shape.height * shape.width;
  const auto channels = static_cast<size_t>(shape.channels);
  std::vector<uint64_t> sums(channels, 0);
  std::vector<uint64_t> squares(channels, 0);
  std::mutex mutex;
  constexpr int64_t kChunk = 256;  // images; integers, so their order does not matter
  for_each_in_parallel((count + kChunk - 1) / kChunk, [&](int64_t chunk) {
    std::vector<uint64_t> sum(channels, 0);
    std::vector<uint64_t> square(channels, 0);
    for (int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) {
      for (size_t c = 0; c < channels; ++c) {
        const uint8_t* from = pixels + (i * shape.channels + static_cast<int64_t>(c)) * plane;
        for (int64_t begin = 0; begin < plane; begin += 1 << 15) {
          uint32_t part = 0;  // at most 2^15 * 255^2 < 2^32
          uint32_t part_squares = 0;
          for (int64_t p = begin; p < std::min(plane, begin + (1 << 15)); ++p) {
            part += from[p];
            part_squares += uint32_t{from[p]} * from[p];
          }
          sum[c] += part;
          square[c] += part_squares;
        }
      }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t c = 0; c < channels; ++c) {
      sums[c] += sum[c];
      squares[c] += square[c];
    }
  });
  PixelStatistics statistics;
  const double total = static_cast<double>(count * plane);
  for (size_t c = 0; c < channels; ++c) {
    const double mean = static_cast<double>(sums[c]) / total;
    const double variance = static_cast<double>(squares[c]) / total - mean * mean;
    statistics.mean.push_back(mean / 255.0);
    statistics.standard_deviation.push_back(std::sqrt(std::max(0.0, variance)) / 255.0);
  }
  return statistics;
}

CachedImages read_through_cache(const ImageSource& source, const fs::path& folder) {
  const fs::path path = cache_file(source, folder);
  const std::array<char, 64> key = digest(source.key());
  if (auto found = read_cache(path, key)) return *found;
  std::optional<MappedFileWriter> writer;
  with_advice([&] { writer.emplace(path); });
  // Another process may have made it while this one waited.
  if (auto found = read_cache(path, key)) return *found;
  write_cache(source, *writer, key);
  writer.reset();
  if (auto found = read_cache(path, key)) return *found;
  throw DataError(path.string() + ": was written and cannot be read back; name another folder " +
                  "with data.cache");
}

fs::path default_cache_folder(const std::string& key) {
  const auto folder = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const std::string cache = folder("XDG_CACHE_HOME"); !cache.empty()) {
    return fs::path(cache) / "lathe";
  }
  if (const std::string home = folder("HOME"); !home.empty()) {
    return fs::path(home) / ".cache" / "lathe";
  }
  throw ConfigError("neither XDG_CACHE_HOME nor HOME is set: set " + key);
}

}  // namespace lathe::supernet
