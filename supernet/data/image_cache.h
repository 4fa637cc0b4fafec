#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "supernet/data/image_set.h"

namespace lathe::supernet {

/// Images that are slow to decode, one part of a data set.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// Names the part, as "cifar10-train", and where it comes from.
  virtual std::string name() const = 0;
  virtual std::string place() const = 0;
  /// Everything that the pixels depend on: files with sizes and times, options.
  virtual std::string key() const = 0;
  virtual int64_t count() const = 0;
  /// May decode an image to find out. \throws DataError naming file and index.
  virtual ImageShape shape() const = 0;
  /// Writes all images [count, C, H, W]. \throws DataError naming file and index.
  virtual void decode(const ImageShape& shape, uint8_t* pixels) const = 0;
};

/// Mean and standard deviation per channel of pixels scaled to 0..1.
struct PixelStatistics {
  std::vector<double> mean, standard_deviation;
};

/// Of `count` images [C, H, W] that lie one after another.
PixelStatistics pixel_statistics(const ImageShape& shape, int64_t count, const uint8_t* pixels);

struct CachedImages {
  ImageShape shape;
  std::shared_ptr<const uint8_t> pixels;  ///< [count, C, H, W]; keeps the file mapped
  PixelStatistics statistics;
};

/// Returns the decoded images of `source`: from a file in `folder`, mapped into memory, which is
/// written first if there is none that is whole and of the same key (with a warning if there was a
/// damaged one). Several processes that ask at once decode once.
/// \throws DataError that names the file and what to do if the disk is full or cannot be written;
/// what decoding throws.
CachedImages read_through_cache(const ImageSource& source, const std::filesystem::path& folder);

/// $XDG_CACHE_HOME/lathe, or ~/.cache/lathe.
/// \throws ConfigError naming `key` of the configuration if neither variable is set.
std::filesystem::path default_cache_folder(const std::string& key);

}  // namespace lathe::supernet
