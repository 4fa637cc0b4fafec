#include "supernet/data/image_operations.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/rng.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes applied(ImageOperation operation, double strength, const ImageShape& shape, const Bytes& from,
              const Bytes& fill = {7, 8, 9}) {
  Bytes to(from.size());
  apply_operation(operation, strength, shape, from.data(), to.data(), fill.data());
  return to;
}

Bytes mapped(const AffineMap& map, const ImageShape& shape, const Bytes& from,
             const Bytes& fill = {7, 8, 9}) {
  Bytes to(from.size());
  affine(map, shape, from.data(), to.data(), fill.data());
  return to;
}

Bytes noise(const ImageShape& shape, uint64_t seed) {
  Bytes bytes;
  Rng rng(seed);
  for (int64_t i = 0; i < shape.size(); ++i) bytes.push_back(static_cast<uint8_t>(rng.below(256)));
  return bytes;
}

}  // namespace

TEST_CASE("Operations on values have the results worked out by hand") {
  const ImageShape row{1, 1, 4};
  const Bytes values = {0, 100, 171, 255};
  CHECK(applied(ImageOperation::Identity, 1.0, row, values) == values);
  // From 255 * (1 - 0.5) = 127.5 on.
  CHECK(applied(ImageOperation::Solarize, -0.5, row, values) == Bytes{0, 100, 84, 0});
  CHECK(applied(ImageOperation::Solarize, 1.0, row, values) == Bytes{255, 155, 84, 0});
  // 171 = 0b10101011.
  CHECK(applied(ImageOperation::Posterize, 1.0, row, values) == Bytes{0, 96, 160, 240});
  CHECK(applied(ImageOperation::Posterize, 0.5, row, values) == Bytes{0, 100, 168, 252});
  CHECK(applied(ImageOperation::Brightness, 1.0, row, values) == Bytes{0, 190, 255, 255});
  CHECK(applied(ImageOperation::Brightness, -1.0, row, values) == Bytes{0, 10, 17, 26});
  // The mean of 0, 100 and 200 is 100.
  const ImageShape three{1, 1, 3};
  CHECK(applied(ImageOperation::Contrast, 1.0, three, {0, 100, 200}) == Bytes{0, 100, 255});
  CHECK(applied(ImageOperation::Contrast, -1.0, three, {0, 100, 200}) == Bytes{90, 100, 110});
  CHECK(applied(ImageOperation::Autocontrast, 0.3, three, {50, 100, 150}) == Bytes{0, 128, 255});
  CHECK(applied(ImageOperation::Autocontrast, 0.3, three, {9, 9, 9}) == Bytes{9, 9, 9});
}

TEST_CASE("Colour blends with the grey of each pixel, and leaves grey images alone") {
  const ImageShape pixels{3, 1, 2};
  // Red 255 0 0, whose grey is 76; grey 50 50 50.
  const Bytes planes = {255, 50, 0, 50, 0, 50};
  CHECK(applied(ImageOperation::Colour, -1.0, pixels, planes) == Bytes{94, 50, 68, 50, 68, 50});
  CHECK(applied(ImageOperation::Colour, 1.0, pixels, planes) == Bytes{255, 50, 0, 50, 0, 50});
  CHECK(applied(ImageOperation::Colour, -1.0, {1, 1, 2}, {3, 200}) == Bytes{3, 200});
}

TEST_CASE("Contrast keeps the mean grey of a colour image") {
  // Greys 76 and 150 (of 255 0 0 and 0 255 0), mean 113.
  CHECK(applied(ImageOperation::Contrast, -1.0, {3, 1, 2}, {255, 0, 0, 255, 0, 0}) ==
        Bytes{127, 102, 102, 127, 102, 102});
}

TEST_CASE("Sharpness works against the smoothed inside and leaves the border") {
  const ImageShape shape{1, 3, 3};
  const Bytes dot = {1, 1, 1, 1, 131, 1, 1, 1, 1};
  // (8 * 1 + 5 * 131) / 13 = 51.
  CHECK(applied(ImageOperation::Sharpness, 1.0, shape, dot) == Bytes{1, 1, 1, 1, 203, 1, 1, 1, 1});
  CHECK(applied(ImageOperation::Sharpness, -1.0, shape, dot) == Bytes{1, 1, 1, 1, 59, 1, 1, 1, 1});
}

TEST_CASE("Equalize gives each range of values as many pixels") {
  Bytes half(510, 10);
  std::fill(half.begin() + 255, half.end(), uint8_t{20});
  const Bytes spread = applied(ImageOperation::Equalize, 0.0, {1, 1, 510}, half);
  CHECK(spread[0] == 0);
  CHECK(spread[509] == 255);
  // All values once: nothing to do.
  Bytes all;
  for (int v = 0; v < 256; ++v) all.push_back(static_cast<uint8_t>(v));
  CHECK(applied(ImageOperation::Equalize, 0.0, {1, 16, 16}, all) == all);
  CHECK(applied(ImageOperation::Equalize, 0.0, {1, 1, 3}, {4, 5, 6}) == Bytes{4, 5, 6});
}

TEST_CASE("affine takes pixels from where the map says, between them bilinearly, else the fill") {
  const ImageShape square{1, 3, 3};
  const Bytes counting = {10, 20, 30, 40, 50, 60, 70, 80, 90};
  // A quarter turn: (x, y) is taken from (y, 2 - x).
  CHECK(mapped({0, 1, 0, -1, 0, 2}, square, counting) == Bytes{70, 40, 10, 80, 50, 20, 90, 60, 30});
  // A shear: row y is shifted by y - 1.
  CHECK(mapped({1, 1, -1, 0, 1, 0}, square, counting) == Bytes{7, 10, 20, 40, 50, 60, 80, 90, 7});
  // Half a pixel to the right: means of neighbours, and of the last one and the fill.
  CHECK(mapped({1, 0, 0.5, 0, 1, 0}, {1, 1, 3}, {10, 20, 40}, {0}) == Bytes{15, 30, 20});
  CHECK(mapped({1, 0, 0, 0, 1, 100}, square, counting) == Bytes(9, 7));
}

TEST_CASE("Turns, shears and shifts of RandAugment are those of a slow definition") {
  const ImageShape shape{3, 12, 9};
  const Bytes image = noise(shape, 5);
  const Bytes fill = {7, 8, 9};
  struct Case {
    ImageOperation operation;
    double strength;
    /// Where (x, y), from the centre, is taken from.
    std::pair<double, double> (*from)(double x, double y);
  };
  const std::vector<Case> table = {
      {ImageOperation::Rotate, 0.5,
       [](double x, double y) {
         const double a = 15.0 * 3.14159265358979 / 180.0;
         return std::make_pair(std::cos(a) * x + std::sin(a) * y,
                               -std::sin(a) * x + std::cos(a) * y);
       }},
      {ImageOperation::ShearX, -1.0,
       [](double x, double y) { return std::make_pair(x - 0.3 * y, y); }},
      {ImageOperation::ShearY, 0.5,
       [](double x, double y) { return std::make_pair(x, y + 0.15 * x); }},
      // 150 / 331 * 9 = 4.08, 150 / 331 * 12 / 2 = 2.7.
      {ImageOperation::TranslateX, 1.0,
       [](double x, double y) { return std::make_pair(x + 4, y); }},
      {ImageOperation::TranslateY, -0.5,
       [](double x, double y) { return std::make_pair(x, y - 3); }},
  };
  for (const Case& each : table) {
    CAPTURE(static_cast<int>(each.operation));
    const Bytes got = applied(each.operation, each.strength, shape, image, fill);
    int64_t wrong = 0;
    for (int64_t c = 0; c < 3; ++c) {
      const auto pixel = [&](double y, double x) {
        if (y < 0 || x < 0 || y >= 12 || x >= 9)
          return static_cast<double>(fill[static_cast<size_t>(c)]);
        return static_cast<double>(image[static_cast<size_t>(
            (c * 12 + static_cast<int64_t>(y)) * 9 + static_cast<int64_t>(x))]);
      };
      for (int64_t y = 0; y < 12; ++y) {
        for (int64_t x = 0; x < 9; ++x) {
          auto [at_x, at_y] = each.from(static_cast<double>(x) - 4.0, static_cast<double>(y) - 5.5);
          at_x += 4.0;
          at_y += 5.5;
          double sum = 0.0;
          for (const double cy : {std::floor(at_y), std::floor(at_y) + 1}) {
            for (const double cx : {std::floor(at_x), std::floor(at_x) + 1}) {
              sum += (1 - std::abs(at_y - cy)) * (1 - std::abs(at_x - cx)) * pixel(cy, cx);
            }
          }
          const double value = got[static_cast<size_t>((c * 12 + y) * 9 + x)];
          if (std::abs(value - sum) > 0.51) ++wrong;
        }
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("Operations of strength 0 change nothing, apart from those without a strength") {
  const ImageShape shape{3, 6, 5};
  const Bytes image = noise(shape, 2);
  for (int64_t o = 0; o < kImageOperations; ++o) {
    const auto operation = static_cast<ImageOperation>(o);
    if (operation == ImageOperation::Autocontrast || operation == ImageOperation::Equalize)
      continue;
    CAPTURE(o);
    // Solarize inverts what is at least 255: white, whose opposite is black.
    Bytes expected = image;
    if (operation == ImageOperation::Solarize) {
      for (uint8_t& value : expected) value = value == 255 ? 0 : value;
    }
    CHECK(applied(operation, 0.0, shape, image) == expected);
  }
}

TEST_CASE("resize_window brings a part to the whole size with half-pixel centres") {
  const Bytes image = {9, 0, 100, 9, 9, 9, 9, 9};
  Bytes to(8);
  resize_window({0, 1, 1, 2}, {1, 2, 4}, image.data(), to.data());
  CHECK(to == Bytes{0, 25, 75, 100, 0, 25, 75, 100});
  const ImageShape shape{3, 7, 5};
  const Bytes pixels = noise(shape, 3);
  Bytes same(pixels.size());
  resize_window({0, 0, 7, 5}, shape, pixels.data(), same.data());
  CHECK(same == pixels);
}

TEST_CASE("shift_and_flip moves whole pixels, mirrors beyond the edges and turns around") {
  const ImageShape shape{1, 2, 3};
  const Bytes image = {1, 2, 3, 4, 5, 6};
  const auto moved = [&](int64_t dy, int64_t dx, bool flip) {
    Bytes to(6, 99);
    shift_and_flip(dy, dx, flip, shape, image.data(), to.data());
    return to;
  };
  CHECK(moved(0, 0, false) == image);
  CHECK(moved(0, 0, true) == Bytes{3, 2, 1, 6, 5, 4});
  CHECK(moved(1, 1, false) == Bytes{5, 6, 6, 5, 6, 6});
  CHECK(moved(-1, -2, true) == Bytes{1, 1, 2, 1, 1, 2});
  CHECK(moved(5, 9, false) == Bytes{6, 5, 4, 6, 5, 4});
}
