#include "network/range_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lathe::network {
namespace {

using Bins = std::vector<ValueHistogram::Bin>;

constexpr int kTried = 100;         ///< shares of an end
constexpr double kSmallest = 0.02;  ///< share that is tried
constexpr int kRounds = 4;

double share_of(int index) { return 1.0 - (1.0 - kSmallest) * index / kTried; }

ValueRange scaled(const ValueHistogram& histogram, double low, double high) {
  return {static_cast<float>(low * double{histogram.low()}),
          static_cast<float>(high * double{histogram.high()})};
}

double squared_error(const Bins& bins, ValueRange range) {
  const TensorScale scale = scale_for(range);
  const double step{scale.scale};
  const double zero = scale.zero_point;
  double error = 0.0;
  for (const ValueHistogram::Bin& bin : bins) {
    const double steps = std::nearbyint(bin.centre / step);
    const double rounded = step * std::min(std::max(steps, -128.0 - zero), 127.0 - zero);
    error += bin.count * (bin.centre - rounded) * (bin.centre - rounded);
  }
  return error;
}

/// The divergence of the distribution rounded to `range` from the values' own, of which those
/// outside count at the outermost bins inside.
double divergence(const Bins& all, ValueRange range) {
  Bins bins;
  double below = 0.0;
  double above = 0.0;
  double kept = 0.0;
  for (const ValueHistogram::Bin& bin : all) {
    if (bin.centre < double{range.low}) {
      below += bin.count;
    } else if (bin.centre > double{range.high}) {
      above += bin.count;
    } else if (bin.count > 0.0) {
      bins.push_back(bin);
      kept += bin.count;
    }
  }
  if (bins.empty()) return std::numeric_limits<double>::infinity();
  const TensorScale scale = scale_for(range);
  std::array<double, 256> mass{};    // of the values at each level
  std::array<double, 256> places{};  // bins that are not empty
  std::vector<size_t> levels;
  for (const ValueHistogram::Bin& bin : bins) {
    levels.push_back(static_cast<size_t>(scale.quantize(static_cast<float>(bin.centre)) + 128));
    mass[levels.back()] += bin.count;
    places[levels.back()] += 1.0;
  }
  bins.front().count += below;
  bins.back().count += above;
  double sum = 0.0;
  for (size_t i = 0; i < bins.size(); ++i) {
    const double p = bins[i].count / (kept + below + above);
    const double q = mass[levels[i]] / places[levels[i]] / kept;
    sum += p * std::log(p / q);
  }
  return sum;
}

}  // namespace

double rounding_error(const ValueHistogram& histogram, ValueRange range) {
  const auto count = static_cast<double>(std::max<int64_t>(1, histogram.count()));
  return squared_error(histogram.bins(), range) / count;
}

ValueRange least_error_range(const ValueHistogram& histogram) {
  const Bins bins = histogram.bins();
  std::array<double, 2> ends = {1.0, 1.0};
  double least = squared_error(bins, scaled(histogram, 1.0, 1.0));
  for (int round = 0; round < kRounds; ++round) {
    const std::array<double, 2> before = ends;
    for (double& end : ends) {
      double best = end;
      for (int i = 0; i <= kTried; ++i) {
        end = share_of(i);
        const double error = squared_error(bins, scaled(histogram, ends[0], ends[1]));
        if (error < least) {
          least = error;
          best = end;
        }
      }
      end = best;
    }
    if (ends == before) break;
  }
  return scaled(histogram, ends[0], ends[1]);
}

ValueRange least_divergence_range(const ValueHistogram& histogram) {
  const Bins bins = histogram.bins();
  double best = 1.0;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kTried; ++i) {
    const double here = divergence(bins, scaled(histogram, share_of(i), share_of(i)));
    if (here >= least) continue;
    least = here;
    best = share_of(i);
  }
  return scaled(histogram, best, best);
}

}  // namespace lathe::network
