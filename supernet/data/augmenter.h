#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "supernet/data/augmentation.h"
#include "supernet/data/image_operations.h"
#include "supernet/data/image_set.h"

namespace lathe::supernet {

/// What happens to one image of a batch, drawn beforehand.
struct ImagePlan {
  int64_t dy = 0, dx = 0;  ///< of the crop
  bool flip = false;
  Window window;  ///< of the resized crop; height 0: none
  struct Step {
    ImageOperation operation = ImageOperation::Identity;
    double strength = 0.0;
  };
  std::vector<Step> steps;
  int64_t cut_y = 0, cut_x = 0, cut_size = 0;  ///< first row and column of the cut square
};

/// Draws the plans of `count` images [C, H, W]. They depend on `rng` and the order of the images
/// only; the draws of one kind of augmentation do not depend on which others are on.
std::vector<ImagePlan> draw_plans(const Augmentation& augmentation, const ImageShape& shape,
                                  size_t count, const Rng& rng);

/// With whom every image of a batch is mixed, and the weight of the image itself.
struct MixPlan {
  std::vector<int64_t> partners;
  double weight = 1.0;
};
MixPlan draw_mix(double alpha, size_t count, const Rng& rng);

/// Turns bytes into normalised, augmented values. Immutable; concurrent use is safe.
class Augmenter {
 public:
  /// `mean` and `standard_deviation` per channel, of pixels scaled to 0..1.
  Augmenter(const ImageShape& shape, const std::vector<double>& mean,
            const std::vector<double>& standard_deviation);

  /// Writes the image [C, H, W] as the plan says, normalised.
  void apply(const ImagePlan& plan, const uint8_t* image, float* target) const;

 private:
  void place(const ImagePlan& plan, const uint8_t* image, float* target) const;
  void normalise(const uint8_t* image, float* target) const;

  ImageShape shape_;
  std::vector<float> scale_, shift_;  ///< per channel: normalised = byte * scale + shift
  std::vector<uint8_t> fill_;         ///< the mean colour
};

}  // namespace lathe::supernet
