#pragma once

#include <cstdint>
#include <vector>

namespace lathe::network {

/// Counts values in bins of one width, all beginning at multiples of it. The width doubles when the
/// values outgrow the bins, so nothing need be known of them beforehand, and the order in which
/// they come does not matter. Zeros are counted apart: they are exact in every int8 scale. Value
/// type.
class ValueHistogram {
 public:
  /// \throws InvariantError if a value is not finite.
  void add(const float* values, int64_t count);

  int64_t count() const { return count_; }  ///< of values, zeros included
  int64_t zeros() const { return zeros_; }
  float low() const { return low_; }    ///< the smallest value, at most 0
  float high() const { return high_; }  ///< the largest, at least 0

  struct Bin {
    double centre = 0.0;
    double count = 0.0;
  };
  /// The bins from the first to the last that is not empty, without the zeros.
  std::vector<Bin> bins() const;

  /// Returns the value below which a `share` of 0..1 of all values lies, linear within a bin.
  double quantile(double share) const;

 private:
  void fit(double low, double high);
  void halve_resolution();

  double width_ = 0.0;  ///< of a bin; a power of two
  int64_t first_ = 0;   ///< counts_[0] begins at first_ * width_
  std::vector<int64_t> counts_;
  int64_t count_ = 0, zeros_ = 0;
  float low_ = 0.0F, high_ = 0.0F;
};

}  // namespace lathe::network
