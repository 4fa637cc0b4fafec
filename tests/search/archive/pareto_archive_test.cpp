#include "search/archive/pareto_archive.h"

#include <doctest/doctest.h>

#include <limits>

#include "core/rng.h"
#include "search/archive/dominance.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

TEST_CASE("ParetoArchive::insert drops a dominated point") {
  ParetoArchive archive(2);
  CHECK(archive.insert(0, {2, 2}));
  CHECK_FALSE(archive.insert(1, {3, 2}));
  CHECK_FALSE(archive.insert(2, {2, 3}));
  CHECK(archive.insert(3, {2, 2}));
  CHECK(archive.insert(4, {1, 3}));
  CHECK(archive.ids() == std::vector<int64_t>{0, 3, 4});
  CHECK(archive.insert(5, {1, 1}));
  CHECK(archive.ids() == std::vector<int64_t>{5});
  CHECK(archive.size() == 1);
}

TEST_CASE("ParetoArchive equals the quadratic oracle after every insertion") {
  Rng rng(31);
  for (const size_t objectives : {1U, 2U, 3U, 4U}) {
    for (int round = 0; round < 20; ++round) {
      ParetoArchive archive(objectives);
      std::vector<Objectives> points;
      for (int i = 0; i < 80; ++i) {
        Objectives point(objectives);
        for (double& value : point) value = static_cast<double>(rng.below(12));
        bool beaten = false;
        for (const Objectives& other : points) beaten = beaten || dominates(other, point);
        CHECK(archive.dominated(point) == beaten);
        CHECK(archive.insert(i, point) == !beaten);
        points.push_back(point);
        std::vector<int64_t> expected;
        for (const size_t kept : non_dominated(points))
          expected.push_back(static_cast<int64_t>(kept));
        REQUIRE(archive.ids() == expected);
        REQUIRE(archive.size() == expected.size());
      }
    }
  }
}

TEST_CASE("ParetoArchive::entries come in order with their points") {
  ParetoArchive archive(2);
  archive.insert(9, {3, 1});
  archive.insert(8, {1, 3});
  archive.insert(7, {3, 1});
  const auto entries = archive.entries();
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].id == 8);
  CHECK(entries[1].id == 7);
  CHECK(entries[2].id == 9);
  CHECK(entries[2].point == Objectives{3, 1});
}

TEST_CASE("ParetoArchive refuses bad points and stays as it was") {
  ParetoArchive archive(2);
  archive.insert(0, {1, 1});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] {
          archive.insert(1, {nan, 0});
        }) == "ParetoArchive: point 0, objective 0 = nan, expected a finite number");
  CHECK(message_of<InvariantError>([&] {
          archive.insert(1, {0, 0, 0});
        }) == "ParetoArchive: point 0 has 3 objectives, expected 2");
  CHECK(archive.ids() == std::vector<int64_t>{0});
  CHECK(message_of<InvariantError>([] { ParetoArchive(0); }) ==
        "ParetoArchive: objectives = 0, expected at least 1");
}

}  // namespace
}  // namespace lathe::search
