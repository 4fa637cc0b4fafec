#include "supernet/data/image_operations.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace lathe::supernet {
namespace {

using Table = std::array<uint8_t, 256>;

constexpr double kPi = 3.14159265358979323846;

uint8_t to_byte(float value) {
  return static_cast<uint8_t>(std::min(255.0F, std::max(0.0F, value)) + 0.5F);
}

/// Replaces every byte of a channel by its entry.
void look_up(const Table& table, int64_t pixels, const uint8_t* from, uint8_t* to) {
  for (int64_t p = 0; p < pixels; ++p) to[p] = table[from[p]];
}

template <typename F>
Table table_of(F value) {
  Table table;
  for (size_t v = 0; v < table.size(); ++v) table[v] = value(static_cast<int>(v));
  return table;
}

void look_up_all(const Table& table, const ImageShape& shape, const uint8_t* from, uint8_t* to) {
  look_up(table, shape.size(), from, to);
}

std::array<int64_t, 256> histogram(const uint8_t* from, int64_t pixels) {
  std::array<int64_t, 256> counts = {};
  for (int64_t p = 0; p < pixels; ++p) ++counts[from[p]];
  return counts;
}

/// Stretches the range of every channel to 0..255; a channel of one value stays.
void autocontrast(const ImageShape& shape, const uint8_t* from, uint8_t* to) {
  const int64_t pixels = shape.height * shape.width;
  for (int64_t c = 0; c < shape.channels; ++c, from += pixels, to += pixels) {
    const auto [low, high] = std::minmax_element(from, from + pixels);
    const int first = *low;
    const int range = *high - first;
    look_up(table_of([&](int v) {
              if (range == 0) return static_cast<uint8_t>(v);
              return to_byte(static_cast<float>(v - first) * 255.0F / static_cast<float>(range));
            }),
            pixels, from, to);
  }
}

/// Spreads the values of every channel so that each range has about as many pixels. The value that
/// v gets is the number of pixels below it and half a step, in steps of the 255th part of all but
/// those of the highest value.
void equalize(const ImageShape& shape, const uint8_t* from, uint8_t* to) {
  const int64_t pixels = shape.height * shape.width;
  for (int64_t c = 0; c < shape.channels; ++c, from += pixels, to += pixels) {
    const auto counts = histogram(from, pixels);
    const auto highest =
        std::find_if(counts.rbegin(), counts.rend(), [](int64_t n) { return n > 0; });
    const int64_t step = (pixels - *highest) / 255;
    if (step == 0) {
      std::copy(from, from + pixels, to);
      continue;
    }
    int64_t below = step / 2;
    look_up(table_of([&](int v) {
              const int64_t value = below / step;
              below += counts[static_cast<size_t>(v)];
              return static_cast<uint8_t>(std::min<int64_t>(255, value));
            }),
            pixels, from, to);
  }
}

/// The grey of one pixel (ITU-R BT.601).
uint8_t grey(const uint8_t* from, int64_t pixels) {
  return static_cast<uint8_t>(
      (19595U * from[0] + 38470U * from[pixels] + 7471U * from[2 * pixels] + 32768U) >> 16);
}

/// base + factor (value - base).
uint8_t blend(float base, float value, float factor) {
  return to_byte(base + factor * (value - base));
}

void contrast(float factor, const ImageShape& shape, const uint8_t* from, uint8_t* to) {
  const int64_t pixels = shape.height * shape.width;
  int64_t sum = 0;
  for (int64_t p = 0; p < pixels; ++p) {
    sum += shape.channels == 3 ? grey(from + p, pixels) : from[p];
  }
  const auto mean = static_cast<float>((sum + pixels / 2) / pixels);
  look_up_all(table_of([&](int v) { return blend(mean, static_cast<float>(v), factor); }), shape,
              from, to);
}

void colour(float factor, const ImageShape& shape, const uint8_t* from, uint8_t* to) {
  const int64_t pixels = shape.height * shape.width;
  if (shape.channels != 3) {
    std::copy(from, from + shape.size(), to);
    return;
  }
  for (int64_t p = 0; p < pixels; ++p) {
    const float base = grey(from + p, pixels);
    for (int64_t c = 0; c < 3; ++c) {
      to[p + c * pixels] = blend(base, from[p + c * pixels], factor);
    }
  }
}

/// Against the image smoothed by (1 1 1; 1 5 1; 1 1 1) / 13; the border stays.
void sharpness(float factor, const ImageShape& shape, const uint8_t* from, uint8_t* to) {
  const int64_t width = shape.width;
  std::copy(from, from + shape.size(), to);
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (int64_t y = 1; y + 1 < shape.height; ++y) {
      const uint8_t* row = from + (c * shape.height + y) * width;
      uint8_t* target = to + (c * shape.height + y) * width;
      for (int64_t x = 1; x + 1 < width; ++x) {
        const int around = row[x - width - 1] + row[x - width] + row[x - width + 1] + row[x - 1] +
                           row[x + 1] + row[x + width - 1] + row[x + width] + row[x + width + 1];
        const float smooth = static_cast<float>((around + 5 * row[x]) * 2 + 13) / 26.0F;
        target[x] = blend(std::floor(smooth), row[x], factor);
      }
    }
  }
}

AffineMap rotation(double degrees, const ImageShape& shape) {
  const double angle = degrees * kPi / 180.0;
  const double centre_x = static_cast<double>(shape.width - 1) / 2.0;
  const double centre_y = static_cast<double>(shape.height - 1) / 2.0;
  AffineMap map;
  map.xx = map.yy = std::cos(angle);
  map.xy = std::sin(angle);
  map.yx = -map.xy;
  map.x0 = centre_x - map.xx * centre_x - map.xy * centre_y;
  map.y0 = centre_y - map.yx * centre_x - map.yy * centre_y;
  return map;
}

AffineMap shear(double x_by_y, double y_by_x, const ImageShape& shape) {
  AffineMap map;
  map.xy = x_by_y;
  map.x0 = -x_by_y * static_cast<double>(shape.height - 1) / 2.0;
  map.yx = y_by_x;
  map.y0 = -y_by_x * static_cast<double>(shape.width - 1) / 2.0;
  return map;
}

AffineMap translation(double dx, double dy) {
  AffineMap map;
  map.x0 = std::round(dx);
  map.y0 = std::round(dy);
  return map;
}

/// A bilinear look-up along one axis: two neighbours and the weight of the second.
struct Tap {
  int64_t first = 0, second = 0;
  float weight = 0.0F;
};

/// Of an output of `size` over the inputs [begin, begin + length), clamped at its ends.
std::vector<Tap> window_taps(int64_t begin, int64_t length, int64_t size) {
  std::vector<Tap> taps(static_cast<size_t>(size));
  const double scale = static_cast<double>(length) / static_cast<double>(size);
  for (int64_t i = 0; i < size; ++i) {
    const double at = std::min(std::max((static_cast<double>(i) + 0.5) * scale - 0.5, 0.0),
                               static_cast<double>(length - 1));
    Tap& tap = taps[static_cast<size_t>(i)];
    const auto whole = static_cast<int64_t>(at);
    tap.first = begin + whole;
    tap.second = begin + std::min(whole + 1, length - 1);
    tap.weight = static_cast<float>(at - static_cast<double>(whole));
  }
  return taps;
}

}  // namespace

void affine(const AffineMap& map, const ImageShape& shape, const uint8_t* from, uint8_t* to,
            const uint8_t* fill) {
  const int64_t height = shape.height;
  const int64_t width = shape.width;
  const int64_t pixels = height * width;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const double at_x =
          map.xx * static_cast<double>(x) + map.xy * static_cast<double>(y) + map.x0;
      const double at_y =
          map.yx * static_cast<double>(x) + map.yy * static_cast<double>(y) + map.y0;
      const auto left = static_cast<int64_t>(std::floor(at_x));
      const auto top = static_cast<int64_t>(std::floor(at_y));
      const auto right_weight = static_cast<float>(at_x - static_cast<double>(left));
      const auto low_weight = static_cast<float>(at_y - static_cast<double>(top));
      const bool inside_left = left >= 0 && left < width;
      const bool inside_right = left >= -1 && left < width - 1;
      const bool inside_top = top >= 0 && top < height;
      const bool inside_low = top >= -1 && top < height - 1;
      const int64_t corner = top * width + left;
      for (int64_t c = 0; c < shape.channels; ++c) {
        const uint8_t* plane = from + c * pixels;
        const auto outside = static_cast<float>(fill[c]);
        const float a = inside_top && inside_left ? plane[corner] : outside;
        const float b = inside_top && inside_right ? plane[corner + 1] : outside;
        const float d = inside_low && inside_left ? plane[corner + width] : outside;
        const float e = inside_low && inside_right ? plane[corner + width + 1] : outside;
        const float upper = a + right_weight * (b - a);
        const float lower = d + right_weight * (e - d);
        to[c * pixels + y * width + x] = to_byte(upper + low_weight * (lower - upper));
      }
    }
  }
}

void resize_window(const Window& window, const ImageShape& shape, const uint8_t* from,
                   uint8_t* to) {
  const std::vector<Tap> rows = window_taps(window.top, window.height, shape.height);
  const std::vector<Tap> columns = window_taps(window.left, window.width, shape.width);
  for (int64_t c = 0; c < shape.channels; ++c) {
    const uint8_t* plane = from + c * shape.height * shape.width;
    for (const Tap& row : rows) {
      const uint8_t* upper = plane + row.first * shape.width;
      const uint8_t* lower = plane + row.second * shape.width;
      for (const Tap& column : columns) {
        const float a = upper[column.first];
        const float b = lower[column.first];
        const float above = a + column.weight * (static_cast<float>(upper[column.second]) - a);
        const float below = b + column.weight * (static_cast<float>(lower[column.second]) - b);
        *to++ = to_byte(above + row.weight * (below - above));
      }
    }
  }
}

int64_t mirrored(int64_t place, int64_t size) {
  const int64_t within = ((place % (2 * size)) + 2 * size) % (2 * size);
  return within < size ? within : 2 * size - 1 - within;
}

std::vector<int64_t> shifted_columns(int64_t dx, bool flip, int64_t width) {
  std::vector<int64_t> columns;
  for (int64_t x = 0; x < width; ++x) columns.push_back(mirrored(x + dx, width));
  if (flip) std::reverse(columns.begin(), columns.end());
  return columns;
}

void shift_and_flip(int64_t dy, int64_t dx, bool flip, const ImageShape& shape, const uint8_t* from,
                    uint8_t* to) {
  const int64_t width = shape.width;
  const std::vector<int64_t> columns = shifted_columns(dx, flip, width);
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (int64_t y = 0; y < shape.height; ++y) {
      const uint8_t* source = from + (c * shape.height + mirrored(y + dy, shape.height)) * width;
      for (const int64_t column : columns) *to++ = source[column];
    }
  }
}

void apply_operation(ImageOperation operation, double strength, const ImageShape& shape,
                     const uint8_t* from, uint8_t* to, const uint8_t* fill) {
  const auto factor = static_cast<float>(1.0 + 0.9 * strength);
  const double size = std::abs(strength);
  const double shift = strength * 150.0 / 331.0;
  const auto move = [&](const AffineMap& map) { affine(map, shape, from, to, fill); };
  switch (operation) {
    case ImageOperation::Identity:
      std::copy(from, from + shape.size(), to);
      return;
    case ImageOperation::Autocontrast:
      return autocontrast(shape, from, to);
    case ImageOperation::Equalize:
      return equalize(shape, from, to);
    case ImageOperation::Rotate:
      return move(rotation(30.0 * strength, shape));
    case ImageOperation::Solarize:
      return look_up_all(table_of([&](int v) {
                           const bool bright = v >= 255.0 * (1.0 - size);
                           return static_cast<uint8_t>(bright ? 255 - v : v);
                         }),
                         shape, from, to);
    case ImageOperation::Colour:
      return colour(factor, shape, from, to);
    case ImageOperation::Posterize: {
      const int dropped = static_cast<int>(std::lround(4.0 * size));
      return look_up_all(
          table_of([&](int v) { return static_cast<uint8_t>(v >> dropped << dropped); }), shape,
          from, to);
    }
    case ImageOperation::Contrast:
      return contrast(factor, shape, from, to);
    case ImageOperation::Brightness:
      return look_up_all(table_of([&](int v) { return to_byte(factor * static_cast<float>(v)); }),
                         shape, from, to);
    case ImageOperation::Sharpness:
      return sharpness(factor, shape, from, to);
    case ImageOperation::ShearX:
      return move(shear(0.3 * strength, 0.0, shape));
    case ImageOperation::ShearY:
      return move(shear(0.0, 0.3 * strength, shape));
    case ImageOperation::TranslateX:
      return move(translation(shift * static_cast<double>(shape.width), 0.0));
    case ImageOperation::TranslateY:
      return move(translation(0.0, shift * static_cast<double>(shape.height)));
  }
  throw InvariantError("apply_operation: unknown operation " +
                       std::to_string(static_cast<int>(operation)));
}

}  // namespace lathe::supernet
