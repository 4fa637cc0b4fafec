#include "cli/pipeline/pick_rule.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;

namespace {

report::FrontNetwork network(const std::string& id, double test, double latency_ms,
                             int64_t params) {
  report::FrontNetwork network;
  network.id = id;
  network.validation = {test + 0.01, 0.004, 5000};
  network.test = report::Accuracy{test, 0.003, 10000};
  report::FrontLatency latency;
  latency.device = "pi4";
  report::Latency confirmed;
  confirmed.median_ms = latency_ms;
  confirmed.low_ms = 0.99 * latency_ms;
  confirmed.high_ms = 1.02 * latency_ms;
  latency.confirmed = confirmed;
  network.latencies = {latency};
  network.params = params;
  return network;
}

report::RunSummary summary() {
  report::RunSummary summary;
  summary.name = "demo";
  summary.devices.push_back({});
  summary.devices[0].name = "pi4";
  summary.front = {network("net-01", 0.92, 30.0, 3000000), network("net-02", 0.90, 19.8, 2000000),
                   network("net-03", 0.85, 9.0, 500000)};
  summary.front[0].roles = {"most accurate"};
  summary.front[1].roles = {"knee"};
  summary.front[2].roles = {"fastest"};
  return summary;
}

using Indices = std::vector<size_t>;

}  // namespace

TEST_CASE("pick_networks understands names, ids and bounds") {
  const report::RunSummary run = summary();
  CHECK(cli::pick_networks(run, "all") == Indices{0, 1, 2});
  CHECK(cli::pick_networks(run, "best") == Indices{0});
  CHECK(cli::pick_networks(run, "fastest") == Indices{2});
  CHECK(cli::pick_networks(run, "knee") == Indices{1});
  CHECK(cli::pick_networks(run, "net-03") == Indices{2});
  CHECK(cli::pick_networks(run, "accuracy>=0.9") == Indices{1});
  CHECK(cli::pick_networks(run, "params <= 1M") == Indices{2});
}

TEST_CASE("pick_networks picks no network behind another, unless it is named") {
  report::RunSummary run = summary();
  run.front[0].dominated_by = "net-02";
  CHECK(cli::pick_networks(run, "best") == Indices{1});
  CHECK(cli::pick_networks(run, "net-01") == Indices{0});
  CHECK(cli::pick_networks(run, "all") == Indices{0, 1, 2});
}

TEST_CASE("pick_networks passes over networks that broke a constraint, unless they are named") {
  report::RunSummary run = summary();
  run.front[1].feasible = false;
  CHECK(cli::pick_networks(run, "latency@pi4<=25ms") == Indices{2});
  CHECK(cli::pick_networks(run, "net-02") == Indices{1});
  run.front[1].feasible = true;
  run.front[1].dominated_by = "net-01";  // in what the search asked for; a bound may ask for more
  CHECK(cli::pick_networks(run, "params<=2M") == Indices{1});
}

TEST_CASE("pick_networks takes the device that the search minimised for the fastest") {
  report::RunSummary run = summary();
  run.devices.insert(run.devices.begin(), report::Device());
  run.devices[0].name = "local";
  for (size_t i = 0; i < 3; ++i) {
    report::FrontLatency local = run.front[i].latencies[0];
    local.device = "local";
    local.confirmed->median_ms = 1.0 + static_cast<double>(i);  // the other way round
    run.front[i].latencies.insert(run.front[i].latencies.begin(), local);
  }
  run.search.objectives = {"accuracy", "latency@pi4"};
  CHECK(cli::pick_networks(run, "fastest") == Indices{2});
}

TEST_CASE("pick_networks holds a latency bound against the upper end of the interval") {
  // net-02 has a median of 19.8 ms, but its interval reaches 20.196 ms.
  CHECK(cli::pick_networks(summary(), "latency@pi4<=20ms") == Indices{2});
  CHECK(cli::pick_networks(summary(), "latency@pi4<=20.2ms") == Indices{1});
}

TEST_CASE("pick_networks says what it expected and how near the nearest network is") {
  const report::RunSummary run = summary();
  const auto message = [&](const std::string& rule) {
    return test::message_of<ConfigError>([&] { cli::pick_networks(run, rule); });
  };
  CHECK(message("bset") ==
        "--pick bset: expected best, fastest, knee, all, an id such as net-01, or a bound such as "
        "latency@pi4<=20ms");
  CHECK(message("latency@pi4<=5ms")
            .find("no exported network satisfies it; the nearest has 9.18 ms") !=
        std::string::npos);
  CHECK(message("latency@pi5<=5ms") ==
        "--pick latency@pi5<=5ms: the run has no value of latency@pi5");
}
