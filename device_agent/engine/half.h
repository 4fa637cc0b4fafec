#pragma once

#include <cstdint>

namespace lathe::device {

/// The bits of an IEEE 754 half: 1 sign, 5 exponent, 10 fraction.
using HalfBits = uint16_t;

/// Rounds to the nearest half, ties to even; beyond the range to infinity. A NaN stays one.
HalfBits to_half(float value);
float from_half(HalfBits half);

}  // namespace lathe::device
