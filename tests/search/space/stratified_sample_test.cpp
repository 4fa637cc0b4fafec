#include "search/space/stratified_sample.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "network/cost.h"
#include "tests/support/message_of.h"
#include "tests/support/toy_space.h"

namespace lathe::search {
namespace {

int64_t macs(const SearchSpace& space, const Architecture& architecture) {
  return network::cost(space.lower(architecture)).macs;
}

TEST_CASE("stratified_by_macs takes one architecture of every stratum of equal ratio") {
  const test::ToySpace space;
  const double low = std::log(static_cast<double>(macs(space, space.smallest())));
  const double high = std::log(static_cast<double>(macs(space, space.largest())));
  for (const int64_t count : {1, 5, 12}) {
    for (const uint64_t seed : {1, 2, 3}) {
      const auto sample = stratified_by_macs(space, count, Rng(seed));
      REQUIRE(static_cast<int64_t>(sample.size()) == count);
      for (int64_t s = 0; s < count; ++s) {
        const double size =
            std::log(static_cast<double>(macs(space, sample[static_cast<size_t>(s)])));
        const double place = (size - low) / (high - low) * static_cast<double>(count);
        CHECK(place >= static_cast<double>(s) - 1e-9);
        CHECK(place <= static_cast<double>(s + 1) + 1e-9);
      }
    }
  }
}

TEST_CASE("stratified_by_macs gives canonical, distinct architectures that the seed decides") {
  const test::ToySpace space;
  const auto sample = stratified_by_macs(space, 40, Rng(5));
  CHECK(std::set<Architecture>(sample.begin(), sample.end()).size() == 40);
  for (const Architecture& each : sample) CHECK(space.canonical(each) == each);
  for (size_t i = 1; i < sample.size(); ++i) {
    CHECK(macs(space, sample[i - 1]) <= macs(space, sample[i]));
  }
  CHECK(stratified_by_macs(space, 40, Rng(5)) == sample);
  CHECK(stratified_by_macs(space, 40, Rng(6)) != sample);
}

TEST_CASE("stratified_by_macs fills empty strata from anywhere, and says when there are too few") {
  const auto space = read_search_space_text(R"(name: few
input: {channels: 1, resolution: [8]}
classes: 2
stem: {width: [4], kernel: 3, stride: 1, activation: relu}
stages:
  - {name: a, block: mbconv, depth: [1], width: [4, 64], kernel: [3], expand: [1, 2, 3], stride: 1}
head: {width: 8, activation: relu}
)",
                                            "few.yaml");
  REQUIRE(space->count() == "6");
  const auto all = stratified_by_macs(*space, 6, Rng(1));
  CHECK(std::set<Architecture>(all.begin(), all.end()).size() == 6);
  CHECK(test::message_of<ConfigError>([&] { stratified_by_macs(*space, 7, Rng(1)); }) ==
        "space few: subnets = 7, expected at most the 6 distinct ones that were found");
  CHECK(test::message_of<InvariantError>([&] { stratified_by_macs(*space, 0, Rng(1)); }) ==
        "stratified_by_macs: count = 0, expected at least 1");
}

}  // namespace
}  // namespace lathe::search
