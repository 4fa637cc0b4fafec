#include "latency/measurement/warm_up.h"

#include <doctest/doctest.h>

#include <limits>

#include "core/error.h"

namespace lathe::latency {
namespace {

TEST_CASE("WarmUp ends with the second window when the times are steady") {
  WarmUp warm_up({3, 0.0, 0.02, 10.0});
  for (int i = 0; i < 5; ++i) CHECK_FALSE(warm_up.feed(0.010));
  CHECK(warm_up.feed(0.010));
  CHECK(warm_up.agreed());
  CHECK(warm_up.inference_s() == doctest::Approx(0.010));
  CHECK(warm_up.inferences() == 6);
}

TEST_CASE("WarmUp goes on while the network still gets faster and reports its last window") {
  WarmUp warm_up({3, 0.0, 0.02, 10.0});
  double time_s = 0.020;
  int fed = 0;
  while (!warm_up.feed(time_s)) {
    ++fed;
    if (fed % 3 == 0 && fed <= 12) time_s *= 0.9;
  }
  CHECK(warm_up.agreed());
  CHECK(warm_up.inferences() == 18);
  CHECK(warm_up.inference_s() == doctest::Approx(0.020 * 0.9 * 0.9 * 0.9 * 0.9));
}

TEST_CASE("WarmUp is not deceived by one long inference in a window") {
  WarmUp warm_up({3, 0.0, 0.02, 10.0});
  for (double time_s : {0.010, 0.500, 0.010, 0.010, 0.010}) CHECK_FALSE(warm_up.feed(time_s));
  CHECK(warm_up.feed(0.500));
  CHECK(warm_up.inference_s() == doctest::Approx(0.010));
}

TEST_CASE("WarmUp makes windows of short inferences last their time") {
  WarmUp warm_up({3, 0.002, 0.02, 10.0});
  while (!warm_up.feed(0.0001)) {
  }
  CHECK(warm_up.inferences() >= 40);
  CHECK(warm_up.inferences() <= 42);
}

TEST_CASE(
    "WarmUp gives up at its limit, after two windows at least, and says that nothing agreed") {
  WarmUp warm_up({3, 0.0, 0.02, 1.0});
  double time_s = 0.6;
  int fed = 0;
  while (!warm_up.feed(time_s)) {
    ++fed;
    time_s *= 1.5;
  }
  CHECK(warm_up.inferences() == 6);
  CHECK_FALSE(warm_up.agreed());
  CHECK(warm_up.done());
}

TEST_CASE("WarmUp rejects options and times out of range") {
  CHECK_THROWS_WITH_AS(WarmUp({0, 0.0, 0.02, 1.0}), "WarmUp: min_window = 0, expected at least 1",
                       InvariantError);
  CHECK_THROWS_WITH_AS(WarmUp({3, 0.0, 0.0, 1.0}),
                       "WarmUp: tolerance = 0.000000, expected more than 0", InvariantError);
  WarmUp warm_up;
  CHECK_THROWS_WITH_AS(warm_up.feed(-1.0),
                       "WarmUp::feed: inference_s = -1.000000, expected a time of at least 0",
                       InvariantError);
  CHECK_THROWS_AS(warm_up.feed(std::numeric_limits<double>::quiet_NaN()), InvariantError);
}

}  // namespace
}  // namespace lathe::latency
