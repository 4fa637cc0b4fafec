#include "network/value_histogram.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace lathe::network {
namespace {

/// Eight to sixteen bins a step of an int8 scale over all values.
constexpr int64_t kMostBins = 4096;

int64_t floor_half(int64_t index) { return index >= 0 ? index / 2 : -((1 - index) / 2); }

int64_t bin_of(double value, double width) {
  return static_cast<int64_t>(std::floor(value / width));
}

}  // namespace

void ValueHistogram::halve_resolution() {
  const int64_t first = floor_half(first_);
  std::vector<int64_t> merged;
  for (size_t i = 0; i < counts_.size(); ++i) {
    const auto to = static_cast<size_t>(floor_half(first_ + static_cast<int64_t>(i)) - first);
    if (to >= merged.size()) merged.resize(to + 1, 0);
    merged[to] += counts_[i];
  }
  counts_ = std::move(merged);
  first_ = first;
  width_ *= 2.0;
}

void ValueHistogram::fit(double low, double high) {
  const double largest = std::max(-low, high);
  if (largest == 0.0) return;
  if (width_ == 0.0) {
    width_ = std::exp2(std::ceil(std::log2(largest)) - std::log2(double{kMostBins}));
  }
  low = std::min(low, static_cast<double>(first_) * width_);
  high = std::max(
      high,
      static_cast<double>(first_ + std::max<int64_t>(0, static_cast<int64_t>(counts_.size()) - 1)) *
          width_);
  // In floating point first: indices of bins far too narrow are beyond integers.
  while ((high - low) / width_ >= kMostBins) halve_resolution();
  while (bin_of(high, width_) - bin_of(low, width_) + 1 > kMostBins) halve_resolution();
  const int64_t first = std::min(first_, bin_of(low, width_));
  const int64_t end =
      std::max(first_ + static_cast<int64_t>(counts_.size()), bin_of(high, width_) + 1);
  counts_.insert(counts_.begin(), static_cast<size_t>(first_ - first), 0);
  counts_.resize(static_cast<size_t>(end - first), 0);
  first_ = first;
}

void ValueHistogram::add(const float* values, int64_t count) {
  float low = 0.0F;
  float high = 0.0F;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite = finite && std::isfinite(values[i]);
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  if (!finite) throw InvariantError("ValueHistogram::add: a value is not finite");
  low_ = std::min(low_, low);
  high_ = std::max(high_, high);
  fit(double{low}, double{high});
  const double inverse = width_ == 0.0 ? 0.0 : 1.0 / width_;  // exact: the width is a power of two
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] == 0.0F) {
      ++zeros_;
      continue;
    }
    const auto bin = static_cast<int64_t>(std::floor(double{values[i]} * inverse));
    ++counts_[static_cast<size_t>(bin - first_)];
  }
  count_ += count;
}

std::vector<ValueHistogram::Bin> ValueHistogram::bins() const {
  std::vector<Bin> bins;
  for (size_t i = 0; i < counts_.size(); ++i) {
    const auto index = static_cast<double>(first_ + static_cast<int64_t>(i));
    bins.push_back({(index + 0.5) * width_, static_cast<double>(counts_[i])});
  }
  while (!bins.empty() && bins.back().count == 0.0) bins.pop_back();
  const auto full =
      std::find_if(bins.begin(), bins.end(), [](const Bin& b) { return b.count > 0; });
  bins.erase(bins.begin(), full);
  return bins;
}

double ValueHistogram::quantile(double share) const {
  const double wanted = share * static_cast<double>(count_);
  double below = 0.0;
  bool zeros_counted = zeros_ == 0;
  for (const Bin& bin : bins()) {
    if (!zeros_counted && bin.centre > 0.0) {
      below += static_cast<double>(zeros_);
      if (below >= wanted) return 0.0;
      zeros_counted = true;
    }
    if (bin.count > 0.0 && below + bin.count >= wanted) {
      const double value = bin.centre + ((wanted - below) / bin.count - 0.5) * width_;
      return std::min(std::max(value, double{low_}), double{high_});
    }
    below += bin.count;
  }
  return zeros_counted ? double{high_} : 0.0;
}

}  // namespace lathe::network
