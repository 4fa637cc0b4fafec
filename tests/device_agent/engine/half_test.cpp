#include "device_agent/engine/half.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace lathe::device;

TEST_CASE("every half survives the way to float and back") {
  for (uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const auto half = static_cast<HalfBits>(bits);
    const float value = from_half(half);
    const bool nan = (half & 0x7C00U) == 0x7C00U && (half & 0x3FFU) != 0;
    REQUIRE(std::isnan(value) == nan);
    if (!nan) REQUIRE(to_half(value) == half);
  }
  CHECK(from_half(to_half(std::nanf(""))) != from_half(to_half(std::nanf(""))));
}

TEST_CASE("halves are what the standard's table says") {
  CHECK(from_half(0x3C00) == 1.0F);
  CHECK(from_half(0xC000) == -2.0F);
  CHECK(from_half(0x7BFF) == 65504.0F);
  CHECK(from_half(0x0400) == 0x1p-14F);
  CHECK(from_half(0x0001) == 0x1p-24F);
  CHECK(from_half(0x3555) == 0.333251953125F);
}

TEST_CASE("floats are rounded to the nearest half, ties to even") {
  CHECK(to_half(1.0F + 0x1p-11F) == 0x3C00);
  CHECK(to_half(1.0F + 3.0F * 0x1p-11F) == 0x3C02);
  CHECK(to_half(1.0F + 0x1p-11F + 0x1p-20F) == 0x3C01);
  CHECK(to_half(0x1p-25F) == 0);
  CHECK(to_half(3.0F * 0x1p-25F) == 2);
  CHECK(to_half(std::nextafter(0x1p-14F, 0.0F)) == 0x0400);
  CHECK(to_half(std::nextafter(2.0F, 0.0F)) == 0x4000);
  CHECK(to_half(65519.0F) == 0x7BFF);
  CHECK(to_half(65520.0F) == 0x7C00);
  CHECK(to_half(-std::numeric_limits<float>::infinity()) == 0xFC00);
  CHECK(to_half(-0.0F) == 0x8000);
}
