#include "cli/pipeline/front_selection.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;
using cli::FrontPoint;

TEST_CASE("select_spread keeps both ends and orders by falling accuracy") {
  const std::vector<FrontPoint> front = {{0.80, 1.0}, {0.81, 1.05}, {0.90, 2.0}, {0.93, 4.0}, {0.935, 8.0}};
  CHECK(cli::select_spread(front, 2) == std::vector<size_t>{4, 0});
  // In log latency the middle of 1 .. 8 ms is near 2.8 ms: (0.90, 2.0) is farther from both ends than (0.93, 4.0).
  CHECK(cli::select_spread(front, 3) == std::vector<size_t>{4, 2, 0});
}

TEST_CASE("select_spread never chooses a network twice and gives all when asked for more") {
  std::vector<FrontPoint> front;
  for (int i = 0; i < 7; ++i) front.push_back({0.5 + 0.05 * i, 1.0 + i});
  for (const size_t count : {size_t{1}, size_t{5}, size_t{7}, size_t{50}}) {
    std::vector<size_t> chosen = cli::select_spread(front, count);
    CHECK(chosen.size() == std::min<size_t>(count, 7));
    std::sort(chosen.begin(), chosen.end());
    CHECK(std::unique(chosen.begin(), chosen.end()) == chosen.end());
  }
}

TEST_CASE("select_spread of a front of equal points does not divide by zero") {
  const std::vector<FrontPoint> front(4, FrontPoint{0.9, 2.0});
  CHECK(cli::select_spread(front, 3).size() == 3);
  CHECK(cli::select_spread({}, 3).empty());
  CHECK(cli::select_spread(front, 0).empty());
}

TEST_CASE("knee is the point highest above the chord") {
  // Log latencies 0, ln 2, ln 4; the chord at ln 2 is at accuracy 0.85: 0.89 stands above it, 0.82 below.
  CHECK(cli::knee({{0.80, 1.0}, {0.89, 2.0}, {0.90, 4.0}}) == 1);
  CHECK(cli::knee({{0.80, 1.0}, {0.82, 2.0}, {0.90, 4.0}}) == 2);
  CHECK(cli::knee({{0.80, 1.0}, {0.90, 4.0}}) == 1);
  CHECK(test::message_of<InvariantError>([] { cli::knee({}); }) == "knee: the front is empty");
}

TEST_CASE("roles name the ends and the knee, and one point may have two") {
  const auto names = cli::roles({{0.80, 1.0}, {0.89, 2.0}, {0.90, 4.0}});
  CHECK(names[0] == std::vector<std::string>{"fastest"});
  CHECK(names[1] == std::vector<std::string>{"knee"});
  CHECK(names[2] == std::vector<std::string>{"most accurate"});
  CHECK(cli::roles({{0.8, 1.0}})[0] == std::vector<std::string>{"most accurate", "fastest"});
}
