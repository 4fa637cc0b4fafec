#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rng.h"
#include "network/network.h"
#include "supernet/data/augmenter.h"
#include "supernet/data/image_set.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Normalised float images [N, C, H, W] (row-major) and labels [N] (int64), on the batch maker's
/// device.
///
/// Where images are mixed (Augmentation::mixup) an image is `mix` parts of one with the label
/// `labels` and 1 - mix parts of one with the label `mixed_labels`, and a loss is to be mixed
/// likewise: mix * loss(labels) + (1 - mix) * loss(mixed_labels).
struct Batch {
  at::Tensor images;
  at::Tensor labels;
  at::Tensor mixed_labels;  ///< [N] (int64); labels where nothing is mixed
  double mix = 1.0;         ///< 1: nothing is mixed
};

/// Turns the bytes of one split into batches. Immutable; concurrent use is safe.
class Batches {
 public:
  Batches(ImageSet set, const DatasetInfo& info, at::Device device);

  at::Device device() const { return device_; }
  int64_t size() const { return set_.size(); }
  const ImageSet& images() const { return set_; }

  /// Returns the images at `indices`, normalised.
  Batch at(const std::vector<int64_t>& indices) const;
  /// Returns images [begin, end).
  Batch range(int64_t begin, int64_t end) const;
  /// The same as at(), augmented. The result depends only on `rng` and the order of `indices`, not
  /// on the number of threads.
  Batch augmented(const std::vector<int64_t>& indices, const Augmentation& augmentation,
                  Rng rng) const;

 private:
  Batch make(const std::vector<int64_t>& indices, const std::vector<ImagePlan>& plans,
             const MixPlan& mix) const;

  ImageSet set_;
  Augmenter augmenter_;
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
