#include "cli/pipeline/summary_warnings.h"

#include <doctest/doctest.h>

using namespace lathe;

namespace {

report::FrontNetwork network(const std::string& id, const std::string& verdict, double half_width) {
  report::FrontNetwork network;
  network.id = id;
  network.feasible = true;
  report::FrontLatency latency;
  latency.device = "pi4";
  latency.confirmed = report::Latency();
  latency.confirmed->median_ms = 2.0;
  latency.confirmed->low_ms = 2.0 * (1.0 - half_width);
  latency.confirmed->high_ms = 2.0 * (1.0 + half_width);
  latency.confirmed->verdict = verdict;
  network.latencies.push_back(latency);
  return network;
}

report::RunSummary run(std::vector<report::FrontNetwork> front) {
  report::RunSummary summary;
  report::Device device;
  device.name = "pi4";
  summary.devices.push_back(device);
  summary.front = std::move(front);
  return summary;
}

}  // namespace

TEST_CASE("A run whose latencies are clean has nothing to warn of") {
  CHECK(cli::summary_warnings(run({network("net-01", "clean", 0.01), network("net-02", "clean", 0.01)})).empty());
}

TEST_CASE("A board is warned of once, with what its verdict means") {
  const auto all = cli::summary_warnings(run({network("net-01", "unsteady", 0.02), network("net-02", "unsteady", 0.034)}));
  REQUIRE(all.size() == 1);
  CHECK(all[0] ==
        "on pi4 all 2 confirmed latencies are unsteady: intervals of up to ±3.4 %, wider than was asked for: the "
        "machine's speed changes by itself, or the budget was too short; compare networks by their intervals");
  const auto some = cli::summary_warnings(run({network("net-01", "clean", 0.01), network("net-02", "throttled", 0.01),
                                               network("net-03", "disturbed", 0.01),
                                               network("net-04", "disturbed", 0.01)}));
  REQUIRE(some.size() == 2);
  CHECK(some[0] ==
        "on pi4 the confirmed latencies of net-03, net-04 are disturbed: other programs ran on the measuring core; "
        "leave it alone");
  CHECK(some[1] ==
        "on pi4 the confirmed latency of net-02 is throttled: the board lowers its clock; it needs cooling or a better "
        "supply");
}

TEST_CASE("A board that took another one's place is named") {
  report::RunSummary summary = run({network("net-01", "clean", 0.01)});
  report::Device& device = summary.devices[0];
  device.conditions = report::Conditions();
  device.conditions->device_fingerprint = "0011";
  CHECK(cli::summary_warnings(summary).empty());  // a report that is made again without boards
  device.agents.resize(2);
  device.agents[0].fingerprint = "2233";
  device.agents[0].model = "Raspberry Pi 5";
  device.agents[1].fingerprint = "0011";
  CHECK(cli::summary_warnings(summary).empty());
  device.agents.pop_back();
  CHECK(cli::summary_warnings(summary) ==
        std::vector<std::string>{
            "the search measured another board (or another kernel on it) than pi4 is now (Raspberry Pi 5): only "
            "confirmed latencies are of this one; a run of another name searches for it"});
}

TEST_CASE("A network that breaks a constraint is named") {
  report::FrontNetwork broken = network("net-02", "clean", 0.01);
  broken.feasible = false;
  CHECK(cli::summary_warnings(run({network("net-01", "clean", 0.01), broken})) ==
        std::vector<std::string>{"net-02 breaks a constraint when measured again: it is marked and no winner"});
}
