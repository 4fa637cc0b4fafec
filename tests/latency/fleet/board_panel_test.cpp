#include "latency/fleet/board_panel.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/file.h"
#include "latency/fleet/fleet.h"
#include "tests/latency/fleet/fleet_fixture.h"
#include "tests/support/temporary_folder.h"

namespace lathe::latency {
namespace {

using lathe::test::FakeAgent;
using lathe::test::TemporaryFolder;
using test::device_of;
using test::impatient;
using test::measure;
using Act = FakeAgent::Act;

TEST_CASE(
    "Fleet quarantines the board that disagrees with its class, names it, and takes it back") {
  const TemporaryFolder folder;
  log::to_json_lines(folder / "log.jsonl");
  std::vector<std::unique_ptr<FakeAgent>> agents;
  std::vector<std::string> addresses;
  for (double median_ms : {5.0, 5.2, 6.5}) {
    agents.push_back(std::make_unique<FakeAgent>());
    agents.back()->set_median_ms(median_ms);
    addresses.push_back(agents.back()->address());
  }
  DeviceConfig device = device_of("pi4", addresses);
  device.agreement = 0.08;
  FleetOptions options = impatient();
  options.quarantine_s = 0.005;
  Fleet fleet({device}, nullptr, "run", options);
  const auto status_of = [&fleet](const std::string& address) {
    for (const BoardStatus& status : fleet.boards()) {
      if (status.address == address) return status;
    }
    return BoardStatus{};
  };
  for (int64_t job = 0; job < 30; ++job) {
    const auto result = measure(fleet, "pi4", 8 + job);
    REQUIRE(result.ok());
    CHECK(result->conditions.extra.at("agent") != addresses[2]);
  }
  const BoardStatus outlier = status_of(addresses[2]);
  CHECK(std::string(to_string(outlier.state)) == "quarantined");
  CHECK(outlier.jobs == 0);
  CHECK(outlier.reference_ms == 6.5);
  CHECK(outlier.fault ==
        "the reference network takes 6.500 ms on it and 5.000 ms on the other boards");
  CHECK(status_of(addresses[0]).state == BoardState::Ready);
  CHECK(status_of(addresses[0]).jobs + status_of(addresses[1]).jobs == 30);
  CHECK(read_file(folder / "log.jsonl")
            .find("agent " + addresses[2] +
                  " disagrees with the other boards of pi4 and is quarantined") !=
        std::string::npos);

  agents[2]->set_median_ms(5.1);
  agents[0]->kill();
  agents[1]->kill();
  const auto result = measure(fleet, "pi4", 99);
  REQUIRE(result.ok());
  CHECK(result->conditions.extra.at("agent") == addresses[2]);
  CHECK(status_of(addresses[2]).state == BoardState::Ready);
}

TEST_CASE("BoardPanel finds the odd board out") {
  BoardPanel panel(0.08);
  CHECK_FALSE(panel.disagrees_with("a").has_value());
  panel.report("a", 5.0);
  CHECK_FALSE(panel.disagrees_with("a").has_value());
  panel.report("b", 5.3);
  CHECK_FALSE(panel.disagrees_with("a").has_value());
  CHECK_FALSE(panel.disagrees_with("b").has_value());
  panel.report("b", 6.0);  // of two that disagree the faster is right
  CHECK_FALSE(panel.disagrees_with("a").has_value());
  CHECK(panel.disagrees_with("b") == 5.0);
  panel.report("c", 6.1);  // the majority is right, be it slower
  CHECK(panel.disagrees_with("a") == 6.0);
  CHECK_FALSE(panel.disagrees_with("b").has_value());
  panel.report("d", 5.1);  // two against two
  CHECK(panel.disagrees_with("b") == 5.0);
  CHECK(panel.disagrees_with("c") == 5.0);
  CHECK(panel.reference_ms("d") == 5.1);
  CHECK_THROWS_WITH_AS(panel.report("e", 0.0),
                       "BoardPanel::report: e: reference_ms = 0.000000, expected a positive time",
                       InvariantError);
  BoardPanel tolerant(0.0);
  tolerant.report("a", 1.0);
  tolerant.report("b", 9.0);
  CHECK_FALSE(tolerant.disagrees_with("b").has_value());
}

TEST_CASE("Fleet tells a board's health by its recent results") {
  FakeAgent agent;
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  REQUIRE(measure(fleet, "pi4", 8).ok());
  CHECK(fleet.boards()[0].health == 1.0);
  agent.script(std::vector<Act>(4, Act::Disturbed));
  for (int64_t job = 0; job < 4; ++job)
    CHECK(measure(fleet, "pi4", 9 + job)->verdict == Verdict::Disturbed);
  CHECK(fleet.boards()[0].health == doctest::Approx(0.8 * 0.8 * 0.8 * 0.8));
  CHECK(fleet.boards()[0].jobs == 5);
}

}  // namespace
}  // namespace lathe::latency
