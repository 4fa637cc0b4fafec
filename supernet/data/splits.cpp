#include "supernet/data/splits.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"

namespace lathe::supernet {

Splits split_training_files(const DataOptions& options, int64_t count, uint64_t seed) {
  const int64_t held_out = options.validation + options.calibration;
  if (options.validation < 1 || options.calibration < 1 || held_out >= count) {
    throw ConfigError("/data: validation = " + std::to_string(options.validation) +
                      ", calibration = " + std::to_string(options.calibration) +
                      ", expected at least 1 each and together less than the " +
                      std::to_string(count) + " training images");
  }
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng = Rng(seed).derive("split:" + options.dataset);
  rng.shuffle(order);
  const auto validation_end = order.begin() + options.validation;
  const auto calibration_end = validation_end + options.calibration;
  int64_t train = count - held_out;
  if (options.train_limit > 0) train = std::min(train, options.train_limit);
  Splits splits;
  splits.validation.assign(order.begin(), validation_end);
  splits.calibration.assign(validation_end, calibration_end);
  splits.train.assign(calibration_end, calibration_end + train);
  return splits;
}

std::string split_hash(const std::string& dataset, const std::string& part,
                       const std::vector<int64_t>& indices) {
  std::string text = dataset + "\n" + part + "\n";
  for (const int64_t index : indices) text += std::to_string(index) + "\n";
  return sha256_hex(text);
}

}  // namespace lathe::supernet
