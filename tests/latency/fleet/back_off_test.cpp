#include "latency/fleet/back_off.h"

#include <doctest/doctest.h>

namespace lathe::latency {
namespace {

TEST_CASE("BackOff doubles up to its longest wait, with jitter in the upper half") {
  BackOff back_off({1.0, 2.0, 10.0}, Rng(3));
  for (double ceiling_s : {1.0, 2.0, 4.0, 8.0, 10.0, 10.0}) {
    const double wait_s = back_off.next_s();
    CHECK(wait_s >= 0.5 * ceiling_s);
    CHECK(wait_s <= ceiling_s);
  }
  back_off.reset();
  CHECK(back_off.next_s() <= 1.0);
}

TEST_CASE("BackOff of two boards differs") {
  BackOff one({1.0, 2.0, 10.0}, Rng(3).derive("a:1"));
  BackOff two({1.0, 2.0, 10.0}, Rng(3).derive("b:1"));
  CHECK(one.next_s() != two.next_s());
}

}  // namespace
}  // namespace lathe::latency
