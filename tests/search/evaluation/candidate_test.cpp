#include "search/evaluation/candidate.h"

#include <doctest/doctest.h>

#include <cmath>

#include "network/cost.h"
#include "search/space/cell_space.h"
#include "search/space/search_space.h"
#include "tests/support/message_of.h"
#include "tests/support/toy_space.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::ToySpace;

TEST_CASE("has_networks tells spaces that lower from those of tables") {
  CHECK(has_networks(ToySpace()));
  CHECK_FALSE(has_networks(CellSpace(CellSpec{})));
  CHECK(make_candidate(CellSpace(CellSpec{}), CellSpace(CellSpec{}).smallest(), 0)
            .candidate.network == nullptr);
}

TEST_CASE("make_candidate is canonical, counted and the same for every spelling") {
  const ToySpace space;
  // Depth 1: the genes of later blocks have no effect.
  const CountedCandidate a = make_candidate(space, {{0, 1, 1, 3, 1, 2, 0, 1, 1}}, 7);
  const CountedCandidate b = make_candidate(space, {{0, 1, 1, 0, 0, 0, 0, 0, 0}}, 8);
  CHECK(a.candidate.index == 7);
  CHECK(a.candidate.architecture == b.candidate.architecture);
  CHECK(a.candidate.computation == b.candidate.computation);
  CHECK(a.candidate.structure == b.candidate.structure);
  // One 3x3 convolution from 1 to 8 channels on 8x8, then 8 -> 10: by hand.
  CHECK(a.counted.at(parse_metric("macs")).value == 8 * 9 * 64 + 80);
  CHECK(a.counted.at(parse_metric("params")).value == 8 * 9 + 80 + 10);
  CHECK(a.counted.at(parse_metric("params")).high == 8 * 9 + 80 + 10);
  const CountedCandidate c = make_candidate(space, {{0, 1, 0, 0, 0, 0, 0, 0, 0}}, 9);
  CHECK(c.candidate.computation != a.candidate.computation);
  CHECK(c.candidate.structure != a.candidate.structure);
}

TEST_CASE("make_candidate tells the parts that an architecture's latency adds up from") {
  const auto macs_of = [](const CountedCandidate& candidate) {
    int64_t macs = 0;
    for (const CostPart& part : candidate.parts) macs += part.count * part.macs;
    return macs;
  };
  const ToySpace space;
  const CountedCandidate toy = make_candidate(space, {{1, 1, 1, 1, 1, 0, 0, 0, 0}}, 0);
  CHECK(toy.parts.size() == 5);  // two blocks, pool, flatten, head
  CHECK(macs_of(toy) == static_cast<int64_t>(toy.counted.at(parse_metric("macs")).value));
  // The same block follows twice in the first network and once in the second.
  const CountedCandidate three = make_candidate(space, {{2, 1, 1, 1, 1, 1, 1, 0, 0}}, 0);
  CHECK(three.parts.size() == 5);
  CHECK(macs_of(three) == static_cast<int64_t>(three.counted.at(parse_metric("macs")).value));
  CHECK(three.features.size() == toy.features.size());

  const CellSpace cells{CellSpec{}};
  const CountedCandidate cell = make_candidate(
      cells,
      cells.parse_cell("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|"
                       "nor_conv_3x3~1|skip_connect~2|"),
      0);
  CHECK(cell.features == std::vector<double>{0, 2, 0, 3, 1, 3});
  CHECK(cell.parts.size() == 4);
  CHECK(macs_of(cell) == cells.macs(cell.candidate.architecture) - cells.macs(cells.smallest()));
}

TEST_CASE("latency_value and accuracy_value carry their intervals") {
  latency::LatencyEstimate latency;
  latency.median_ms = 10.0;
  latency.interval_ms = {9.0, 12.0, 0.95};
  CHECK(latency_value(latency).low == 9.0);
  CHECK(latency_value(latency).high == 12.0);
  const MetricValue accuracy = accuracy_value({0.99, 0.01, 100});
  CHECK(accuracy.value == 0.99);
  CHECK(accuracy.low == doctest::Approx(0.99 - 0.0196).epsilon(1e-4));
  CHECK(accuracy.high == 1.0);
}

TEST_CASE("check_feasible holds bounds against the extremes and gives their numbers") {
  const ToySpace space;
  // Smallest: 1x1, 4 channels: 4 + 40 + 10 = 54 params. Largest: see below.
  CHECK_NOTHROW(check_feasible(space, {parse_constraint("params <= 54")}));
  CHECK(
      message_of<ConfigError>([&] { check_feasible(space, {parse_constraint("params <= 53")}); }) ==
      "params <= 53: the smallest network of toy has 54; raise the bound or give the space "
      "smaller choices");
  const int64_t largest = network::cost(space.lower(space.largest())).params;
  CHECK_NOTHROW(check_feasible(space, {parse_constraint("params >= " + std::to_string(largest))}));
  CHECK(message_of<ConfigError>([&] {
          check_feasible(space, {parse_constraint("params <= 1"), parse_constraint("macs >= 4G")});
        }).find("\nmacs >= 4000000000: the largest network of toy has ") != std::string::npos);
}

TEST_CASE("check_feasible refuses no bound that another network than the smallest meets") {
  const auto space_of = [](const std::string& blocks) {
    return read_search_space_text(
        "input: {channels: 3, resolution: 64}\nclasses: 10\nstem: {width: 64}\n"
        "stages: [{" + blocks + ", depth: 1, width: 64, stride: 1}]\n",
        "test");
  };
  const auto peak_of_smallest = [](const SearchSpace& space) {
    return make_candidate(space, space.smallest(), 0).counted.at(parse_metric("peak_memory")).value;
  };
  const auto both = space_of("block: [conv, mbconv], mbconv: {expand: [3, 6]}");
  const double reachable = peak_of_smallest(*space_of("block: conv"));
  REQUIRE(peak_of_smallest(*both) > reachable);
  const auto bound = [](double kib) {
    return std::vector<Constraint>{parse_constraint("peak_memory <= " + std::to_string(std::lround(kib)) + "KiB")};
  };
  CHECK_NOTHROW(check_feasible(*both, bound(reachable / 1024.0)));
  CHECK_THROWS_AS(check_feasible(*both, bound(reachable / 1024.0 - 1.0)), ConfigError);
}

TEST_CASE("check_feasible uses measured values of the smallest when it is given them") {
  const ToySpace space;
  const std::vector<Constraint> constraints = {parse_constraint("latency@pi4 <= 20ms")};
  CHECK_NOTHROW(check_feasible(space, constraints));
  // The median is above, but the lower end still allows the bound: not refused.
  CHECK_NOTHROW(
      check_feasible(space, constraints, {{parse_metric("latency@pi4"), {21, 19.5, 23}}}));
  // Another network may be faster than the one of fewest MACs.
  CHECK_NOTHROW(check_feasible(space, constraints, {{parse_metric("latency@pi4"), {25, 24, 26}}}));
  CHECK(message_of<ConfigError>([&] {
          check_feasible(space, constraints, {{parse_metric("latency@pi4"), {35, 34, 36}}});
        }) ==
        "latency@pi4 <= 20ms: the smallest network of toy has 35.0 ms; raise the bound or give the "
        "space smaller choices");
}

}  // namespace
}  // namespace lathe::search
