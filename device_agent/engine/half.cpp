#include "device_agent/engine/half.h"

#include <cmath>
#include <cstring>

namespace lathe::device {

HalfBits to_half(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<HalfBits>((bits >> 16) & 0x8000U);
  if (std::isnan(value)) return static_cast<HalfBits>(sign | 0x7E00U);
  const float magnitude = std::abs(value);
  if (magnitude >= 65520.0F) return static_cast<HalfBits>(sign | 0x7C00U);
  if (magnitude < 0x1p-14F) {  // steps of 2^-24; the largest result is the smallest normal number
    return static_cast<HalfBits>(sign | static_cast<uint32_t>(std::nearbyint(magnitude * 0x1p24F)));
  }
  const uint32_t rebased = (bits & 0x7FFFFFFFU) - (uint32_t{127 - 15} << 23);
  const uint32_t odd = (rebased >> 13) & 1U;
  return static_cast<HalfBits>(sign | ((rebased + 0xFFFU + odd) >> 13));
}

float from_half(HalfBits half) {
  const int exponent = (half >> 10) & 0x1F;
  const int fraction = half & 0x3FF;
  float magnitude = 0.0F;
  if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else if (exponent == 31) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  }
  return (half & 0x8000U) != 0 ? -magnitude : magnitude;
}

}  // namespace lathe::device
