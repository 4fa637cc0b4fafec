#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rng.h"
#include "network/network.h"
#include "supernet/data/image_set.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Normalised float images [N, C, H, W] (row-major) and labels [N] (int64), on the batch maker's
/// device.
struct Batch {
  at::Tensor images;
  at::Tensor labels;
};

/// Which augmentations run, from the configuration's names.
struct Augmentation {
  int64_t crop_padding =
      0;              ///< zero pixels on every side, from which a crop of the old size is drawn
  bool flip = false;  ///< left-right with probability one half
};

/// \throws ConfigError listing the names for an unknown one.
Augmentation read_augmentation(const std::vector<std::string>& names, int64_t height);

/// Turns the bytes of one split into batches. Immutable; concurrent use is safe.
class Batches {
 public:
  Batches(ImageSet set, const DatasetInfo& info, at::Device device);

  int64_t size() const { return set_.count; }
  const ImageSet& images() const { return set_; }

  /// Returns the images at `indices`, normalised.
  Batch at(const std::vector<int64_t>& indices) const;
  /// Returns images [begin, end).
  Batch range(int64_t begin, int64_t end) const;
  /// The same as at() with random crops and flips, which depend only on `rng` and the order of
  /// `indices`.
  Batch augmented(const std::vector<int64_t>& indices, const Augmentation& augmentation,
                  Rng rng) const;

 private:
  struct Placement {
    int64_t dy = 0, dx = 0;
    bool flip = false;
  };
  Batch make(const std::vector<int64_t>& indices, const std::vector<Placement>& placements) const;
  void place(int64_t index, const Placement& placement, float* target) const;

  ImageSet set_;
  std::vector<float> scale_, shift_;  ///< per channel: normalised = byte * scale + shift
  at::Device device_;
};

/// Returns `images` [N, C, H, W] resampled to height x width: bilinear with half-pixel centres and
/// no antialias, which is what the Resize operator and most runtimes do, so that a deployed network
/// sees the same pixels. Returned unchanged if the size fits.
at::Tensor resized(const at::Tensor& images, int64_t height, int64_t width);

/// Copies between the host tensors of network/ and LibTorch's.
at::Tensor to_torch(const network::Tensor& tensor, at::Device device);
network::Tensor to_network(const at::Tensor& tensor);

}  // namespace lathe::supernet
