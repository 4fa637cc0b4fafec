#pragma once

#include <cstdint>
#include <functional>

#include "network/quantize.h"
#include "network/range_observer.h"
#include "supernet/data/batches.h"
#include "supernet/executor/rounding.h"

namespace lathe::supernet {

/// The first images of the calibration split: all that ranges, biases and sensitivities are taken
/// from. Immutable; refers to the split.
class CalibrationImages {
 public:
  CalibrationImages(const Batches& calibration_split, int64_t images, int64_t batch);
  int64_t size() const { return size_; }
  /// Calls f(images [N, C, H, W]) for every batch.
  void each(const std::function<void(const at::Tensor&)>& f) const;
  /// Returns the first `count` of them, or all there are.
  at::Tensor first(int64_t count) const;

 private:
  const Batches& split_;
  int64_t size_;
  int64_t batch_;
};

/// Runs `exact` (quantizable() form, float) on the images and returns the range of every node.
network::ValueRanges collect_ranges(const network::Model& exact, const CalibrationImages& images,
                                    const network::RangeOptions& options, at::Device device);

/// Takes the mean error that rounding makes out of the bias of every layer of integers, one layer
/// after the other, each with what the corrected ones before it give. The images are run as one
/// batch, as many of them as a GiB of activations allows. `rounded` was made from `exact`.
void correct_biases(network::Model& rounded, const network::Model& exact,
                    const CalibrationImages& images, at::Device device);

}  // namespace lathe::supernet
