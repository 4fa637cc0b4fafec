#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"

namespace lathe::supernet {

/// What is done to training images, in this order. Default: nothing.
struct Augmentation {
  static constexpr int64_t kAutomatic = -1;

  /// Pixels on every side, mirrored at the image's edges, from which a crop of the old size is
  /// drawn; kAutomatic: an eighth of the height. (Black ones would give training images other means
  /// than those that batch norms are recalibrated on.)
  int64_t crop_padding = 0;
  bool flip = false;  ///< left-right with probability one half
  /// 0: off. Else, in place of crop, a part of the image whose area is at least this fraction of
  /// it, with sides in a ratio of 3/4 to 4/3, brought to the old size (Szegedy et al., 2015).
  double resized_crop = 0.0;
  /// Operations a RandAugment policy applies (Cubuk et al., 2020), drawn from operations of
  /// image_operations.h; 0: off.
  int64_t operations = 0;
  double magnitude = 9.0;  ///< of them, 0 to 30
  /// Side of a square at a random place that gets the mean colour (DeVries and Taylor, 2017); 0:
  /// off; kAutomatic: a quarter of the height.
  int64_t cutout = 0;
  /// 0: off. Else alpha of the Beta distribution of the weight with which two images are mixed
  /// (Zhang et al., 2018).
  double mixup = 0.0;
};

/// Reads `key` of the section: a list of names (each with its usual setting) or a mapping with
/// settings. Absent: `fallback`. Faults are recorded in the document.
Augmentation read_augmentation(ConfigSection& section, const std::string& key,
                               Augmentation fallback);

/// Names everything that is on, with the settings that are not the usual ones: "crop flip ".
std::string to_string(const Augmentation& augmentation);

}  // namespace lathe::supernet
