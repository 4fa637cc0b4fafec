// The whole program as a user runs it: real data, a real agent, real kills.

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/rng.h"
#include "latency/measurement/latency_estimate.h"
#include "search/archive/journal.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using Json = nlohmann::json;

namespace {

const std::string kLathe = std::string(LATHE_BINARY_DIR) + "/bin/lathe";

/// Fashion-MNIST, small enough for seconds; `extra` is appended to the config.
std::filesystem::path write_config(const test::TemporaryFolder& folder, const std::string& search,
                                   const std::string& extra = "") {
  const auto path = folder / "tiny.yaml";
  write_file_atomically(
      path,
      std::string("run: {name: tiny, seed: 3, folder: ") + (folder / "run").string() +
          "}\n"
          "data: {dataset: fashion_mnist, train_limit: 2000, validation: 500, calibration: 250}\n"
          "space: " LATHE_SOURCE_DIR
          "/configs/spaces/mobilenet_28.yaml\n"
          "supernet: {epochs: 1, batch: 64, checkpoint_interval: 500ms}\n"
          "search: " +
          search +
          "\nexport: {networks: 3, check_images: 1000, confirm: {half_width: 0.1, budget: 1s}}\n"
          "report: {baselines: [largest, shufflenet_v2]}\n" +
          extra);
  return path;
}

const std::string kSearch =
    "{objectives: [accuracy, latency@local], population: 6, budget: {evaluations: 14}}";
const std::string kQuickDevice =
    "devices: [{name: local, measure: {half_width: 0.1, budget: 1s}}]\n";

/// Every finished measurement of the run's journal, coarse ones of candidates that race included:
/// index and kind -> estimate as text.
using Measurements = std::map<std::pair<int64_t, std::string>, std::string>;
Measurements measurements(const std::filesystem::path& run) {
  Measurements found;
  if (!std::filesystem::exists(run / "search.sqlite")) return found;
  search::Journal journal(run / "search.sqlite");
  for (const auto& measurement : journal.measurements()) {
    if (measurement.result.ok()) {
      found[{measurement.index, "full"}] = latency::to_json(*measurement.result);
    }
  }
  for (const auto& measurement : journal.coarse_measurements()) {
    found[{measurement.index, "coarse"}] = latency::to_json(measurement.estimate);
  }
  return found;
}

size_t measured_candidates(const Measurements& measurements) {
  std::set<int64_t> indices;
  for (const auto& [key, estimate] : measurements) indices.insert(key.first);
  return indices.size();
}

/// Returns a process whose parent is `parent` (lathe's only child is its agent), or -1.
int child_of(int parent) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream status(entry.path() / "status");
    std::string line;
    while (std::getline(status, line)) {
      if (line.rfind("PPid:", 0) == 0 && std::stoi(line.substr(5)) == parent)
        return std::stoi(name);
    }
  }
  return -1;
}

Json summary(const test::TemporaryFolder& folder) {
  return Json::parse(read_file(folder / "run" / "summary.json"));
}

}  // namespace

TEST_CASE("lathe run trains, searches, exports and reports, and its numbers hold together") {
  const test::TemporaryFolder folder;
  const auto config = write_config(folder, kSearch, kQuickDevice);
  const auto [code, output] = test::run_program({kLathe, "run", config.string()});
  INFO(output);
  REQUIRE(code == 0);
  const Json result = summary(folder);
  const auto stages = result.at("stages");
  std::vector<std::string> names;
  for (const Json& stage : stages) names.push_back(stage.at("name"));
  CHECK(names == std::vector<std::string>{"prepare", "train", "search", "export", "confirm", "test",
                                          "baselines", "report"});
  CHECK(result.at("search").at("candidates").size() == 14);
  CHECK(result.at("data").at("test_reads") == 1);
  REQUIRE_FALSE(result.at("front").empty());
  for (const Json& network : result.at("front")) {
    CHECK(network.at("test").at("images") == 10000);
    CHECK(network.at("validation").at("images") == 500);
    CHECK(network.at("parity").at("images") == 1000);
    CHECK(network.at("parity").at("top1_agreement") == 1.0);
    CHECK(network.at("parity").at("max_abs_error").get<double>() <= 1e-4);
    const Json& latency = network.at("latencies").at(0);
    CHECK(latency.at("confirmed").at("low_ms").get<double>() <=
          latency.at("confirmed").at("median_ms").get<double>());
    for (const Json& file : network.at("files")) {
      const auto path = folder / "run" / file.at("path").get<std::string>();
      CHECK(static_cast<int64_t>(std::filesystem::file_size(path)) ==
            file.at("size_bytes").get<int64_t>());
      CHECK(sha256_hex(read_file(path)) == file.at("sha256").get<std::string>());
    }
  }
  REQUIRE(result.at("baselines").size() == 2);
  const Json& largest = result.at("baselines").at(0);
  CHECK(largest.at("name") == "largest of the supernet");
  CHECK(largest.at("accuracy").at("images") == result.at("front").at(0).at("test").at("images"));
  CHECK(largest.at("latencies").at(0).at("latency").at("median_ms").get<double>() > 0.0);
  for (const Json& network : result.at("front")) {
    CHECK(largest.at("macs") >= network.at("macs"));
    CHECK(largest.at("params") >= network.at("params"));
  }
  const Json& baseline = result.at("baselines").at(1);
  CHECK(baseline.at("name") == "shufflenet_v2");
  CHECK(baseline.at("accuracy").is_null());
  CHECK(baseline.at("latencies").at(0).at("latency").at("median_ms").get<double>() > 0.0);
  CHECK(std::filesystem::file_size(folder / "run" / "report.html") > 10000);

  SUBCASE("a second run does nothing") {
    const std::string before = read_file(folder / "run" / "summary.json");
    CHECK(test::run_program({kLathe, "run", config.string()}).first == 0);
    CHECK(read_file(folder / "run" / "summary.json") == before);
  }
  SUBCASE("a larger budget goes on and keeps every earlier measurement") {
    const auto before = measurements(folder / "run");
    const auto extended = test::run_program(
        {kLathe, "run", config.string(), "--set", "search.budget.evaluations=18"});
    INFO(extended.second);
    REQUIRE(extended.first == 0);
    const auto after = measurements(folder / "run");
    CHECK(measured_candidates(after) == 18);
    for (const auto& [key, estimate] : before) CHECK(after.at(key) == estimate);
  }
  SUBCASE("an extension that was killed goes on, and what is chosen again keeps its files") {
    std::map<std::string, std::string> before;
    for (const Json& network : result.at("front")) {
      before[network.at("architecture")] = network.at("test").dump();
    }
    const std::vector<std::string> command = {kLathe, "run", config.string(), "--set",
                                              "search.budget.evaluations=30"};
    {
      test::ChildProcess process(command);
      while (!process.ended() && measured_candidates(measurements(folder / "run")) < 16) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      process.kill(SIGKILL);
    }
    const auto extended = test::run_program(command);
    INFO(extended.second);
    REQUIRE(extended.first == 0);
    const Json after = summary(folder);
    CHECK(after.at("search").at("candidates").size() == 30);
    for (const Json& network : after.at("front")) {
      const auto known = before.find(network.at("architecture"));
      if (known != before.end()) CHECK(network.at("test").dump() == known->second);
    }
  }
  SUBCASE("another number of networks exports those that were missing and confirms all as asked") {
    const auto more =
        test::run_program({kLathe, "run", config.string(), "--set", "export.networks=4", "--set",
                           "export.confirm.half_width=0.2"});
    INFO(more.second);
    REQUIRE(more.first == 0);
    for (const Json& network : summary(folder).at("front"))
      CHECK_FALSE(network.at("test").is_null());
  }
  SUBCASE("export picks a network and checks it afresh") {
    const auto exported =
        test::run_program({kLathe, "export", (folder / "run").string(), "--pick", "fastest",
                           "--check", "--out", (folder / "out").string()});
    INFO(exported.second);
    CHECK(exported.first == 0);
    CHECK(exported.second.find("ONNX Runtime agrees with LibTorch on 100 % of 1000 images") !=
          std::string::npos);
  }
}

TEST_CASE("lathe run killed at random moments continues, and repeats no finished measurement") {
  const test::TemporaryFolder folder;
  const auto config = write_config(folder, kSearch, kQuickDevice);
  Rng rng(2024);
  int kills = 0;
  int code = -1;
  Measurements known;
  for (int attempt = 0; attempt < 60 && code != 0; ++attempt) {
    test::ChildProcess process({kLathe, "run", config.string()});
    // A moment soon after the start, so that a run takes many; the last attempts run through.
    const auto patience = std::chrono::milliseconds(attempt < 25 ? rng.integer(100, 1600) : 600000);
    if (process.kill_after(patience)) ++kills;
    code = process.wait();
    INFO(process.output());
    REQUIRE((code == 0 || code == -SIGKILL));
    const auto now = measurements(folder / "run");
    for (const auto& [key, estimate] : known) {
      REQUIRE(now.count(key) == 1);
      REQUIRE(now.at(key) == estimate);
    }
    known = now;
  }
  CHECK(code == 0);
  CHECK(kills >= 5);
  CHECK(measured_candidates(known) == 14);
  CHECK(summary(folder).at("search").at("candidates").size() == 14);
}

TEST_CASE("lathe search survives kill -9 of its agent") {
  const test::TemporaryFolder folder;
  const auto config = write_config(folder, kSearch, kQuickDevice);
  REQUIRE(test::run_program({kLathe, "train", config.string()}).first == 0);
  test::ChildProcess process({kLathe, "-v", "search", config.string()});
  int killed = 0;
  while (!process.ended()) {
    if (killed < 2 &&
        measured_candidates(measurements(folder / "run")) >= static_cast<size_t>(2 + 5 * killed)) {
      const int agent = child_of(process.id());
      if (agent > 0 && ::kill(agent, SIGKILL) == 0) ++killed;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  INFO(process.output());
  CHECK(process.wait() == 0);
  CHECK(killed == 2);
  CHECK(measured_candidates(measurements(folder / "run")) == 14);
}

TEST_CASE("lathe refuses what cannot work before it trains, with the reason and the exit code") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& search, const std::string& extra) {
    const auto config = write_config(folder, search, kQuickDevice + extra);
    return test::run_program({kLathe, "run", config.string()});
  };
  SUBCASE("every fault of a config at once, with file and line") {
    const auto [code, output] =
        refused("{objectives: [accuracy, latency@pi9], populaton: 6}", "colour: blue\n");
    CHECK(code == 2);
    CHECK(output.find("tiny.yaml:5: /search/objectives") != std::string::npos);
    CHECK(output.find("populaton") != std::string::npos);
    CHECK(output.find("did you mean") != std::string::npos);
    CHECK(output.find("colour") != std::string::npos);
  }
  SUBCASE("a constraint on a counted metric that no network meets") {
    const auto [code, output] =
        refused("{objectives: [accuracy, latency@local], constraints: [\"params <= 1k\"]}", "");
    CHECK(code == 2);
    CHECK(output.find("params <= 1000") != std::string::npos);
    CHECK(output.find("15.6 k") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(folder / "run" / "supernet" / "checkpoint.pt"));
  }
  SUBCASE("a latency that the smallest network does not reach") {
    const auto [code, output] = refused(
        "{objectives: [accuracy, latency@local], constraints: [\"latency@local <= 1us\"]}", "");
    INFO(output);
    CHECK(code == 2);
    CHECK(output.find("latency@local <= ") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(folder / "run" / "supernet" / "checkpoint.pt"));
  }
  SUBCASE("a missing data set names the package") {
    const auto config = write_config(folder, kSearch, kQuickDevice);
    const auto [code, output] =
        test::run_program({kLathe, "run", config.string(), "--set", "data.path=/nowhere/fashion"});
    CHECK(code == 3);
    CHECK(output.find("/nowhere/fashion") != std::string::npos);
    CHECK(output.find("dataset-fashion-mnist") != std::string::npos);
  }
  SUBCASE("a folder that cannot be written") {
    const auto config = write_config(folder, kSearch, kQuickDevice);
    const auto [code, output] =
        test::run_program({kLathe, "run", config.string(), "--folder", "/proc/lathe"});
    CHECK(code == 3);
    CHECK(output.find("run folder /proc/lathe: cannot be created") != std::string::npos);
  }
}

TEST_CASE("lathe explains itself and answers unknown words with exit code 2") {
  const auto [help_code, help] = test::run_program({kLathe, "--help"});
  CHECK(help_code == 0);
  for (const char* command :
       {"run", "plan", "train", "search", "measure", "devices", "export", "report"}) {
    CHECK(help.find(command) != std::string::npos);
    CHECK(test::run_program({kLathe, command, "--help"}).first == 0);
  }
  CHECK(test::run_program({kLathe}).first == 2);
  CHECK(test::run_program({kLathe, "rnu"}).first == 2);
  CHECK(test::run_program({kLathe, "report", "/nowhere"}).first == 3);
}
