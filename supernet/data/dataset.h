#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "supernet/data/image_set.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// The files of one data set. The training part and the test part are read by different calls, and
/// nothing but TestSplit calls the second. Immutable.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual const std::string& name() const = 0;
  /// What the headers of the training files say. \throws DataError naming what is missing or wrong.
  virtual DatasetInfo train_info() const = 0;
  /// Counts of images in the test files, from their headers. \throws DataError as above.
  virtual int64_t test_count() const = 0;

  /// Decodes the training files. \throws DataError naming file and index, or the class without any
  /// image.
  virtual ImageSet read_train() const = 0;
  /// Decodes the test files. \throws DataError likewise.
  virtual ImageSet read_test() const = 0;
};

/// Returns the data set named in the options.
/// \throws ConfigError listing the names if there is none; DataError naming the package and the
/// folder if its files are not there.
std::unique_ptr<Dataset> open_dataset(const DataOptions& options);

/// \throws DataError naming the first class of `set` that has no image.
void check_classes(const ImageSet& set, const DatasetInfo& info, const std::string& where);

}  // namespace lathe::supernet
