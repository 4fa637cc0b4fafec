// The whole program over tables instead of training and boards: small tables, real kills.

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/rng.h"
#include "tests/cli/replay_tables.h"
#include "tests/support/child_process.h"

using namespace lathe;
using test::check_refused;
using test::kLathe;
using test::kNoModule;
using test::Tables;
using test::true_mj;
using test::true_ms;
using test::true_percent;
using Json = nlohmann::json;

namespace {

std::vector<std::string> stage_names(const Json& summary) {
  std::vector<std::string> names;
  for (const Json& stage : summary.at("stages")) names.push_back(stage.at("name"));
  return names;
}

/// What a run found, without times of day and durations.
std::string found(const Json& summary) {
  return summary.at("front").dump() + summary.at("search").dump() + summary.at("devices").dump();
}

}  // namespace

TEST_CASE("lathe run over tables searches, confirms and reports without LibTorch") {
  const Tables tables;
  const auto [code, output] = test::run_program(tables.command("run"), kNoModule);
  INFO(output);
  REQUIRE(code == 0);
  CHECK(output.find("accuracy") != std::string::npos);
  const Json result = Json::parse(tables.summary("run"));
  CHECK(stage_names(result) == std::vector<std::string>{"prepare", "search", "confirm", "report"});
  CHECK(result.at("data").at("table") == "table.csv, column percent");
  CHECK(result.at("search").at("candidates").size() == 60);
  CHECK(result.at("devices").at(0).at("engine") == "replay");
  // Whatever races is measured in a ninth of 2 s, and for 2 s more unless it is stopped early.
  CHECK(result.at("devices").at(0).at("board_seconds") > 40.0);
  CHECK(result.at("devices").at(0).at("board_seconds") < 60.0 * (2.0 + 2.0 / 9.0) + 1e-9);
  CHECK(std::filesystem::file_size(tables.folder / "run" / "report.html") > 10000);
  CHECK(result.at("search").at("learned").is_null());  // nsga2 has no models
  CHECK(result.at("front").size() >= 5);
  for (const Json& network : result.at("front")) {
    const auto architecture = search::Architecture::parse(network.at("architecture"));
    const double percent = true_percent(tables.space, architecture);
    CHECK(network.at("validation").at("top1").get<double>() ==
          doctest::Approx(percent / 100.0).epsilon(1e-6));
    CHECK(network.at("test").is_null());
    CHECK(network.at("files").empty());
    CHECK(network.at("macs") == tables.space.macs(architecture));
    const Json& latency = network.at("latencies").at(0);
    const auto width = [](const Json& estimate) {
      return (estimate.at("high_ms").get<double>() - estimate.at("low_ms").get<double>()) /
             estimate.at("median_ms").get<double>();
    };
    CHECK(width(latency.at("searched")) == doctest::Approx(2 * 1.96 * 0.05).epsilon(1e-3));
    CHECK(width(latency.at("confirmed")) == doctest::Approx(2 * 1.96 * 0.025).epsilon(1e-3));
    CHECK(latency.at("confirmed").at("median_ms") != latency.at("searched").at("median_ms"));
  }

  SUBCASE("a second run does nothing") {
    const std::string before = read_file(tables.folder / "run" / "summary.json");
    CHECK(test::run_program(tables.command("run"), kNoModule).first == 0);
    CHECK(read_file(tables.folder / "run" / "summary.json") == before);
  }
  SUBCASE("a larger budget goes on, and gives what a long run gives") {
    auto longer = tables.command("run");
    longer.insert(longer.end(), {"--set", "search.budget.evaluations=90"});
    REQUIRE(test::run_program(longer, kNoModule).first == 0);
    longer[4] = (tables.folder / "long").string();
    REQUIRE(test::run_program(longer, kNoModule).first == 0);
    CHECK(found(Json::parse(tables.summary("run"))) == found(Json::parse(tables.summary("long"))));
  }
  SUBCASE("another table is another run") {
    write_file_atomically(tables.folder / "table.csv",
                          read_file(tables.folder / "table.csv") + "\n");
    check_refused(tables.command("run"), 2, {"started with other settings", "table sha256"});
  }
  SUBCASE("there is nothing to export, and lathe says why") {
    check_refused({kLathe, "export", (tables.folder / "run").string()}, 2,
                  {"come from a table (table.csv, column percent)", "nothing to export"});
  }
}

TEST_CASE(
    "lathe run over tables, killed at random moments, finds what an uninterrupted run finds") {
  const Tables tables;
  REQUIRE(test::run_program(tables.command("whole")).first == 0);
  const std::string expected = found(Json::parse(tables.summary("whole")));
  Rng rng(7);
  int kills = 0;
  for (int run = 0; kills < 20; ++run) {
    REQUIRE(run < 40);
    const std::string name = "killed" + std::to_string(run);
    int code = -1;
    for (int attempt = 0; code != 0; ++attempt) {
      test::ChildProcess process(tables.command(name));
      // Every attempt may live longer than the last, so that the run ends.
      const auto patience = std::chrono::milliseconds(rng.integer(10, 80 + 40 * attempt));
      if (process.kill_after(patience)) ++kills;
      code = process.wait();
      INFO(process.output());
      REQUIRE((code == 0 || code == -SIGKILL));
    }
    REQUIRE(found(Json::parse(tables.summary(name))) == expected);
  }
}

TEST_CASE("a network that breaks its constraint when measured again is marked, and no winner") {
  // Without the interval's help: a bound through the middle of a front that 15 % noise made look
  // fast.
  const std::string search =
      "{objectives: [accuracy, latency@pi], constraints: [\"latency@pi <= 14ms\"], "
      "population: 20, budget: {evaluations: 200}}";
  const Tables tables(search, "export: {networks: 3, confirm: {half_width: 0.0005}}\n");
  auto command = tables.command("run");
  command.insert(command.end(), {"--set", "devices.0.noise=0.15"});
  const auto [code, output] = test::run_program(command);
  INFO(output);
  REQUIRE(code == 0);
  int winners = 0;
  int refuted = 0;
  int front = 0;
  std::set<std::string> roles;
  const Json result = Json::parse(tables.summary("run"));
  for (const Json& network : result.at("front")) {
    const bool feasible = network.at("feasible");
    ++(feasible ? winners : refuted);
    const auto architecture = search::Architecture::parse(network.at("architecture"));
    const double high = network.at("latencies").at(0).at("confirmed").at("high_ms");
    CHECK(network.at("latencies").at(0).at("searched").at("high_ms").get<double>() <= 14.0);
    CHECK(feasible == (high <= 14.0));
    if (feasible) CHECK(true_ms(tables.space, architecture) <= 14.0);
    const bool wins = feasible && network.at("dominated_by").is_null();
    front += wins ? 1 : 0;
    if (!wins) CHECK(network.at("roles").empty());
    for (const Json& role : network.at("roles")) roles.insert(role);
  }
  CHECK(refuted > 0);
  CHECK(winners == 3);
  // The noise of the search may have put one of them before another that is better in all.
  REQUIRE(front >= 2);
  CHECK(roles.count("fastest") == 1);
  CHECK(roles.count("most accurate") == 1);
  CHECK(roles.count("knee") == (front == 3 ? 1 : 0));
  CHECK(static_cast<int>(result.at("warnings").size()) == refuted);
  CHECK(output.find("breaks a constraint when measured again") != std::string::npos);
}

TEST_CASE(
    "a run tells what was stopped early, keeps it off the front, and what its models learned") {
  const Tables tables;
  auto command = tables.command("run");
  command.insert(command.end(),
                 {"--set", "devices.0.noise=0.01", "--set", "search.strategy=surrogate", "--set",
                  "search.budget.evaluations=80", "--set", "search.racing=true"});
  const auto [code, output] = test::run_program(command, kNoModule);
  INFO(output);
  REQUIRE(code == 0);
  const Json search = Json::parse(tables.summary("run")).at("search");
  const Json& candidates = search.at("candidates");
  const auto stopped = std::count_if(candidates.begin(), candidates.end(), [](const Json& each) {
    return each.at("screened").get<bool>();
  });
  CHECK(stopped > 0);
  CHECK(search.at("racing").at("screened") == stopped);
  // 2 s for each that was stopped, less a ninth of that for every coarse measurement.
  CHECK(search.at("racing").at("board_seconds_saved").get<double>() ==
        doctest::Approx(2.0 * static_cast<double>(stopped) - 80.0 * 2.0 / 9.0));
  for (const Json& network : Json::parse(tables.summary("run")).at("front")) {
    const size_t index = network.at("candidate_index");
    CHECK(candidates.at(index).at("screened") == false);
  }
  REQUIRE(search.at("learned").size() == 2);
  CHECK(search.at("learned").at(0).at("metric") == "accuracy");
  CHECK(search.at("learned").at(1).at("metric") == "latency@pi");
  for (const Json& learned : search.at("learned")) {
    CHECK(learned.at("models").size() > 2);
    CHECK(learned.at("models").back().at("model") == "average");
    CHECK(learned.at("models").back().at("weight") == (learned.at("on") ? 1.0 : 0.0));
  }

  command.insert(command.end(), {"--set", "search.racing=false"});
  command[4] = (tables.folder / "whole").string();
  REQUIRE(test::run_program(command, kNoModule).first == 0);
  const Json whole = Json::parse(tables.summary("whole")).at("search");
  CHECK(whole.at("racing").is_null());
  for (const Json& candidate : whole.at("candidates")) CHECK(candidate.at("screened") == false);
}

#ifdef LATHE_TEST_WITH_AGENT
TEST_CASE("a board stands beside a table, and published networks are measured on the board alone") {
  const test::TemporaryFolder folder;
  write_file_atomically(
      folder / "staged.yaml",
      "{classes: 4, input: {channels: 1, resolution: 16}, stem: {width: 8}, "
      "stages: [{block: conv, depth: [1, 2], width: [8, 16], kernel: [1, 3]}]}\n");
  const auto space = search::read_search_space(folder / "staged.yaml");
  std::string table = "architecture,top1,ms\n";
  std::set<search::Architecture> all;
  Rng rng(1);
  while (std::to_string(all.size()) != space->count()) all.insert(space->sample(rng));
  for (const search::Architecture& architecture : all) {
    const double value = 0.5 + 0.4 * Rng(2).derive(architecture.to_string()).uniform();
    table += architecture.to_string() + "," + std::to_string(value) + "," +
             std::to_string(10.0 * value) + "\n";
  }
  write_file_atomically(folder / "table.csv", table);
  write_file_atomically(
      folder / "c.yaml",
      "space: staged.yaml\n"
      "accuracy: {table: table.csv, column: top1}\n"
      "devices:\n"
      "  - {name: local, measure: {half_width: 0.2, budget: 1s}}\n"
      "  - {name: pi, replay: table.csv, column: ms}\n"
      "search: {objectives: [accuracy, latency@local, latency@pi], population: 4, "
      "budget: {evaluations: 6}}\n"
      "export: {networks: 2, confirm: {half_width: 0.1, budget: 1s}}\n"
      "report: {baselines: [mobilenet_v2_0.35]}\n");
  const auto [code, output] = test::run_program(
      {kLathe, "run", (folder / "c.yaml").string(), "--folder", (folder / "run").string()},
      kNoModule);
  INFO(output);
  REQUIRE(code == 0);
  const Json result = Json::parse(read_file(folder / "run" / "summary.json"));
  CHECK(stage_names(result) ==
        std::vector<std::string>{"prepare", "search", "confirm", "baselines", "report"});
  REQUIRE(result.at("devices").size() == 2);
  CHECK(result.at("devices").at(0).at("engine") == "xnnpack");
  CHECK(result.at("devices").at(0).at("agents").size() == 1);
  CHECK(result.at("devices").at(1).at("engine") == "replay");
  for (const Json& network : result.at("front")) {
    const double top1 = network.at("validation").at("top1");
    REQUIRE(network.at("latencies").size() == 2);
    CHECK(network.at("latencies").at(0).at("confirmed").at("median_ms").get<double>() > 0.0);
    CHECK(network.at("latencies").at(1).at("confirmed").at("median_ms").get<double>() ==
          doctest::Approx(10.0 * top1).epsilon(1e-5));
    CHECK(network.at("resolution") == 16);
    CHECK_FALSE(network.at("blocks").empty());
  }
  REQUIRE(result.at("baselines").size() == 1);
  const Json& baseline = result.at("baselines").at(0);
  CHECK(baseline.at("accuracy").is_null());
  REQUIRE(baseline.at("latencies").size() == 1);
  CHECK(baseline.at("latencies").at(0).at("device") == "local");
  CHECK(baseline.at("latencies").at(0).at("latency").at("median_ms").get<double>() > 0.0);
}
#endif

TEST_CASE("a search for accuracy and energy under a bound on both latency and energy") {
  const Tables tables(
      "{objectives: [accuracy, energy@pi], constraints: [\"energy@pi <= 30mJ\", \"latency@pi <= "
      "25ms\"], population: 10, batch: 5, budget: {evaluations: 80}}");
  const auto [code, output] = test::run_program(tables.command("run"), kNoModule);
  INFO(output);
  REQUIRE(code == 0);
  CHECK(output.find("mJ: energy of one inference") != std::string::npos);
  const Json result = Json::parse(tables.summary("run"));
  REQUIRE(result.at("front").size() >= 3);
  double last_mj = 0.0;
  double last_accuracy = 1.0;
  for (const Json& network : result.at("front")) {  // most accurate first
    const Json& latency = network.at("latencies").at(0).at("confirmed");
    const Json& energy = latency.at("energy");
    const auto architecture =
        tables.space.canonical(search::Architecture::parse(network.at("architecture")));
    const double truth = true_mj(tables.space, architecture);
    CHECK(energy.at("mean_mj") == doctest::Approx(truth).epsilon(0.1));
    CHECK(energy.at("high_mj") <= 30.0);
    CHECK(latency.at("high_ms") <= 25.0);
    CHECK(energy.at("sensor") == "replay");
    const double accuracy = network.at("validation").at("top1");
    if (last_mj > 0.0) CHECK(energy.at("mean_mj") < last_mj);
    CHECK(accuracy < last_accuracy);
    last_mj = energy.at("mean_mj");
    last_accuracy = accuracy;
  }
  const std::string report = read_file(tables.folder / "run" / "report.html");
  CHECK(report.find("\"energies\":[{") != std::string::npos);
}
