#include "supernet/data/augmenter.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lathe::supernet {
namespace {

int64_t fraction_of(int64_t size, int64_t height, int64_t divisor) {
  return size == Augmentation::kAutomatic ? std::max<int64_t>(1, height / divisor) : size;
}

/// As Szegedy et al. draw it: ten tries, and then the largest part in the middle whose sides have
/// an allowed ratio.
Window draw_window(double smallest_area, const ImageShape& shape, Rng& rng) {
  const double height = static_cast<double>(shape.height);
  const double width = static_cast<double>(shape.width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = height * width * (smallest_area + (1.0 - smallest_area) * rng.uniform());
    const double ratio = std::exp(rng.uniform(std::log(3.0 / 4.0), std::log(4.0 / 3.0)));
    const auto w = static_cast<int64_t>(std::lround(std::sqrt(area * ratio)));
    const auto h = static_cast<int64_t>(std::lround(std::sqrt(area / ratio)));
    if (w < 1 || h < 1 || w > shape.width || h > shape.height) continue;
    const int64_t top = rng.integer(0, shape.height - h);
    return {top, rng.integer(0, shape.width - w), h, w};
  }
  const auto limited = [](double length) { return static_cast<int64_t>(std::lround(length)); };
  const int64_t w = std::min(shape.width, limited(height * 4.0 / 3.0));
  const int64_t h = std::min(shape.height, limited(width * 4.0 / 3.0));
  return {(shape.height - h) / 2, (shape.width - w) / 2, h, w};
}

/// Bytes of this thread's own, at least `size`.
uint8_t* scratch(size_t which, int64_t size) {
  thread_local std::array<std::vector<uint8_t>, 2> buffers;
  std::vector<uint8_t>& buffer = buffers[which];
  if (buffer.size() < static_cast<size_t>(size)) buffer.resize(static_cast<size_t>(size));
  return buffer.data();
}

}  // namespace

std::vector<ImagePlan> draw_plans(const Augmentation& augmentation, const ImageShape& shape,
                                  size_t count, const Rng& rng) {
  std::vector<ImagePlan> plans(count);
  Rng places = rng;
  Rng windows = rng.derive("resized_crop");
  Rng steps = rng.derive("randaugment");
  Rng cuts = rng.derive("cutout");
  const int64_t padding = fraction_of(augmentation.crop_padding, shape.height, 8);
  const int64_t cut = fraction_of(augmentation.cutout, shape.height, 4);
  for (ImagePlan& plan : plans) {
    plan.dy = places.integer(-padding, padding);
    plan.dx = places.integer(-padding, padding);
    plan.flip = augmentation.flip && places.bernoulli(0.5);
    if (augmentation.resized_crop > 0.0) {
      plan.window = draw_window(augmentation.resized_crop, shape, windows);
    }
    for (int64_t s = 0; s < augmentation.operations; ++s) {
      const auto operation = static_cast<ImageOperation>(steps.integer(0, kImageOperations - 1));
      const double sign = steps.bernoulli(0.5) ? 1.0 : -1.0;
      plan.steps.push_back({operation, sign * augmentation.magnitude / 30.0});
    }
    if (cut > 0) {
      plan.cut_size = cut;
      plan.cut_y = cuts.integer(0, shape.height - 1) - cut / 2;
      plan.cut_x = cuts.integer(0, shape.width - 1) - cut / 2;
    }
  }
  return plans;
}

MixPlan draw_mix(double alpha, size_t count, const Rng& rng) {
  Rng draws = rng.derive("mixup");
  MixPlan plan;
  const double a = draws.gamma(alpha);
  const double b = draws.gamma(alpha);
  // Both underflow to zero for a tiny alpha, where the weight is 0 or 1.
  plan.weight = a + b > 0.0 ? a / (a + b) : 1.0;
  plan.partners.resize(count);
  std::iota(plan.partners.begin(), plan.partners.end(), int64_t{0});
  draws.shuffle(plan.partners);
  return plan;
}

Augmenter::Augmenter(const ImageShape& shape, const std::vector<double>& mean,
                     const std::vector<double>& standard_deviation)
    : shape_(shape) {
  for (size_t c = 0; c < mean.size(); ++c) {
    scale_.push_back(static_cast<float>(1.0 / (255.0 * standard_deviation[c])));
    shift_.push_back(static_cast<float>(-mean[c] / standard_deviation[c]));
    fill_.push_back(static_cast<uint8_t>(std::lround(255.0 * mean[c])));
  }
}

void Augmenter::apply(const ImagePlan& plan, const uint8_t* image, float* target) const {
  if (plan.steps.empty() && plan.window.height == 0) {
    place(plan, image, target);
  } else {
    const int64_t size = shape_.size();
    uint8_t* current = scratch(0, size);
    uint8_t* next = scratch(1, size);
    if (plan.window.height > 0) {
      resize_window(plan.window, shape_, image, next);
      shift_and_flip(0, 0, plan.flip, shape_, next, current);
    } else {
      shift_and_flip(plan.dy, plan.dx, plan.flip, shape_, image, current);
    }
    for (const ImagePlan::Step& step : plan.steps) {
      apply_operation(step.operation, step.strength, shape_, current, next, fill_.data());
      std::swap(current, next);
    }
    normalise(current, target);
  }
  const int64_t bottom = std::min(shape_.height, plan.cut_y + plan.cut_size);
  const int64_t left = std::max<int64_t>(0, plan.cut_x);
  const int64_t right = std::min(shape_.width, plan.cut_x + plan.cut_size);
  for (int64_t c = 0; c < shape_.channels && plan.cut_size > 0; ++c) {
    for (int64_t y = std::max<int64_t>(0, plan.cut_y); y < bottom; ++y) {
      float* row = target + (c * shape_.height + y) * shape_.width;
      std::fill(row + left, row + right, 0.0F);  // the mean colour, normalised
    }
  }
}

/// The usual case in one pass: shifted, mirrored and normalised.
void Augmenter::place(const ImagePlan& plan, const uint8_t* image, float* target) const {
  const int64_t height = shape_.height;
  const int64_t width = shape_.width;
  const std::vector<int64_t> columns = shifted_columns(plan.dx, plan.flip, width);
  for (int64_t c = 0; c < shape_.channels; ++c) {
    const float scale = scale_[static_cast<size_t>(c)];
    const float shift = shift_[static_cast<size_t>(c)];
    for (int64_t y = 0; y < height; ++y) {
      float* row = target + (c * height + y) * width;
      const uint8_t* from = image + (c * height + mirrored(y + plan.dy, height)) * width;
      for (int64_t x = 0; x < width; ++x) {
        row[x] = static_cast<float>(from[columns[static_cast<size_t>(x)]]) * scale + shift;
      }
    }
  }
}

void Augmenter::normalise(const uint8_t* image, float* target) const {
  const int64_t pixels = shape_.height * shape_.width;
  for (int64_t c = 0; c < shape_.channels; ++c, image += pixels, target += pixels) {
    const float scale = scale_[static_cast<size_t>(c)];
    const float shift = shift_[static_cast<size_t>(c)];
    for (int64_t p = 0; p < pixels; ++p) target[p] = static_cast<float>(image[p]) * scale + shift;
  }
}

}  // namespace lathe::supernet
