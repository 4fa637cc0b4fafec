#pragma once

#include "network/quantize.h"
#include "network/value_histogram.h"

namespace lathe::network {

/// The mean squared error that rounding and saturating the values to `range` as int8 makes, from
/// the centres of bins.
double rounding_error(const ValueHistogram& histogram, ValueRange range);

/// Returns the range with the least rounding_error: both ends are pulled towards zero, one after
/// the other, until neither gains.
ValueRange least_error_range(const ValueHistogram& histogram);

/// Returns the range whose rounded distribution has the least Kullback-Leibler divergence from the
/// values' own, with what lies outside counted at its ends. Both ends are pulled in together.
/// (Migacz, 8-bit inference with TensorRT, 2017.)
ValueRange least_divergence_range(const ValueHistogram& histogram);

}  // namespace lathe::network
