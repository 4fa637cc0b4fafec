#include "latency/measurement/steady_state.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "tests/support/message_of.h"

namespace lathe::latency {
namespace {

using lathe::test::message_of;

/// Feeds seconds of a board that warms from 40 to `end_c` with a time constant; returns when the
/// steady state is reached, or -1.
double steady_after(double end_c, double constant_s, double slowdown, double limit_s,
                    bool sensor = true) {
  SteadyState steady;
  for (double now_s = 1.0; now_s <= limit_s; now_s += 1.0) {
    const double share = 1.0 - std::exp(-now_s / constant_s);
    const double temperature_c = 40.0 + (end_c - 40.0) * share;
    if (steady.feed(0.01 * (1.0 + slowdown * share), sensor ? temperature_c : -1.0, 1.0)) {
      return now_s;
    }
  }
  return -1.0;
}

TEST_CASE("SteadyState takes a board that does not change at its word after one span") {
  CHECK(steady_after(40.0, 60.0, 0.0, 100.0) == 30.0);
  CHECK(steady_after(40.0, 60.0, 0.0, 100.0, false) == 30.0);
}

TEST_CASE("SteadyState waits until times and temperature stand still") {
  // Means of halves 15 s apart differ by 0.5 C where the slope is about 0.033 C/s: at 60 s * ln(40
  // / 60 / 0.033) = 180 s, and the span ends half of it later.
  const double by_temperature = steady_after(80.0, 60.0, 0.0, 1000.0);
  CHECK(by_temperature > 160.0);
  CHECK(by_temperature < 220.0);
  // 2 % of time in 15 s.
  const double by_time = steady_after(40.0, 60.0, 0.5, 1000.0, false);
  CHECK(by_time > 90.0);
  CHECK(by_time < 150.0);
  CHECK(steady_after(80.0, 60.0, 0.0, 100.0) == -1.0);
}

TEST_CASE("SteadyState sees through a throttling that goes on and off") {
  SteadyState steady;
  for (int second = 0; second < 30; ++second) {
    steady.feed(second % 4 < 2 ? 0.010 : 0.014, 80.0, 1.0);
  }
  CHECK(steady.reached());
}

TEST_CASE("SteadyState refuses what is no time") {
  SteadyState steady;
  CHECK(message_of<InvariantError>([&] { steady.feed(0.0, -1.0, 1.0); }) ==
        "SteadyState: inference_s = 0.000000, expected a positive number");
  CHECK(message_of<InvariantError>([&] { steady.feed(1.0, -1.0, -1.0); }) ==
        "SteadyState: duration_s = -1.000000, expected a positive number");
  SteadyStateOptions options;
  options.span_s = 0.0;
  CHECK(message_of<InvariantError>([&] { SteadyState refused(options); }) ==
        "SteadyState: span_s = 0.000000, expected a positive number");
}

}  // namespace
}  // namespace lathe::latency
