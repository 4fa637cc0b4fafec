#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "supernet/supernet.h"

namespace lathe::supernet {

/// Disjoint parts of the training files, as indices into them. Training and calibration are the
/// supernet's, validation is the search's; the test files are another thing altogether (TestSplit).
struct Splits {
  std::vector<int64_t> train, calibration, validation;
};

/// Returns the splits of `count` images by a permutation that depends only on `seed` and the data
/// set's name: validation first, then calibration, then train (so that changing train_limit leaves
/// the others alone). \throws ConfigError if fewer than one training image would be left.
Splits split_training_files(const DataOptions& options, int64_t count, uint64_t seed);

/// Returns the SHA-256 over the data set's name, the part and the indices in order.
std::string split_hash(const std::string& dataset, const std::string& part,
                       const std::vector<int64_t>& indices);

}  // namespace lathe::supernet
