#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "supernet/data/image_set.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// The files of one data set. The training part and the test part are read by different calls, and
/// nothing but TestSplit calls the second. Not thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual const std::string& name() const = 0;
  virtual const std::filesystem::path& folder() const = 0;
  /// What is known of the training files: of most sets without reading the images, of folders and
  /// index files by reading them all. \throws DataError naming what is missing or wrong.
  virtual DatasetInfo train_info() const = 0;
  /// Counts the images of the test files without decoding them. \throws DataError as above.
  virtual int64_t test_count() const = 0;

  /// Decodes the training files. \throws DataError naming file and index, or the class without any
  /// image.
  virtual ImageSet read_train() const = 0;
  /// Decodes the test files. \throws DataError likewise.
  virtual ImageSet read_test() const = 0;
};

/// Returns the data set named in the options.
/// \throws ConfigError listing the names if there is none; DataError naming the places that were
/// looked at and how to get the data if its files are not there.
std::unique_ptr<Dataset> open_dataset(const DataOptions& options);

}  // namespace lathe::supernet
