#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "supernet/data/image_set.h"

namespace lathe::supernet {

// Operations on images of bytes [C, H, W]. `from` and `to` may not overlap. Results are rounded to
// the nearest byte and do not depend on anything but the arguments.

/// The operations from which RandAugment draws.
enum class ImageOperation {
  Identity,
  Autocontrast,
  Equalize,
  Rotate,
  Solarize,
  Colour,
  Posterize,
  Contrast,
  Brightness,
  Sharpness,
  ShearX,
  ShearY,
  TranslateX,
  TranslateY,
};
inline constexpr int64_t kImageOperations = 14;

/// Applies the operation with `strength` in [-1, 1]; the sign is the direction, 1 the most that
/// RandAugment does: 30 degrees, a shear of 0.3, a shift of 150/331 of the side, a factor of 1.9,
/// 4 bits fewer, everything inverted. Pixels from outside become `fill` (a byte a channel).
void apply_operation(ImageOperation operation, double strength, const ImageShape& shape,
                     const uint8_t* from, uint8_t* to, const uint8_t* fill);

/// Where a pixel (x, y) of the result is taken from: (xx x + xy y + x0, yx x + yy y + y0).
struct AffineMap {
  double xx = 1.0, xy = 0.0, x0 = 0.0;
  double yx = 0.0, yy = 1.0, y0 = 0.0;
};

/// Bilinear; what lies outside of the image counts as `fill`.
void affine(const AffineMap& map, const ImageShape& shape, const uint8_t* from, uint8_t* to,
            const uint8_t* fill);

/// A part of an image: rows [top, top + height), columns [left, left + width).
struct Window {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

/// Brings the part of the image to the whole image's size: bilinear with half-pixel centres.
void resize_window(const Window& window, const ImageShape& shape, const uint8_t* from, uint8_t* to);

/// Returns the place in [0, size) that `place` shows if the image goes on beyond its edges as in
/// mirrors that stand on them: ... 1 0 | 0 1 2 ...
int64_t mirrored(int64_t place, int64_t size);

/// Of each column of a row that is shifted by `dx` and then turned around if `flip`, the column of
/// the image that it shows.
std::vector<int64_t> shifted_columns(int64_t dx, bool flip, int64_t width);

/// Shifts by whole pixels, so that (x, y) of the result is (x + dx, y + dy) of the image, mirrored
/// at its edges, and then turns it around left to right if `flip`.
void shift_and_flip(int64_t dy, int64_t dx, bool flip, const ImageShape& shape, const uint8_t* from,
                    uint8_t* to);

}  // namespace lathe::supernet
