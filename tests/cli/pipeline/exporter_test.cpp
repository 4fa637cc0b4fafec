#include "cli/pipeline/exporter.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cli/pipeline/network_result.h"
#include "core/file.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;

namespace {

/// A network that was confirmed on the board "0011" with a budget of 10 s, as read again with other
/// wishes.
struct Scene {
  test::TemporaryFolder folder;
  cli::ChosenNetwork network;

  explicit Scene(latency::Verdict verdict = latency::Verdict::Clean) {
    const cli::RunConfig config = read("");
    network.id = "net-01";
    network.evaluated.candidate.architecture = config.space->smallest();
    cli::Exporter exporter(config, folder / "export");
    cli::NetworkResult result = exporter.load(network);
    latency::LatencyEstimate estimate;
    estimate.median_ms = 1.0;
    estimate.interval_ms = {0.9, 1.1, 0.95};
    estimate.verdict = verdict;
    estimate.conditions.device_fingerprint = "0011";
    result.confirmed["pi"] = {"xnnpack, 1 threads, fp32, half-width 0.005", 10.0, estimate};
    std::filesystem::create_directories(exporter.folder(network));
    cli::write_network_result(exporter.folder(network) / "result.json", result);
  }

  cli::RunConfig read(const std::string& more) {
    const std::string space = LATHE_SOURCE_DIR "/configs/spaces/mobilenet_28.yaml";
    const std::string device = more.rfind("measure", 0) == 0 ? ", " + more : "";
    const std::string confirm = more.rfind("budget", 0) == 0 ? ", " + more : "";
    write_file_atomically(folder / "c.yaml", "space: " + space + "\ndevices: [{name: pi" + device +
                                                 "}]\nsearch: {objectives: [accuracy, latency@pi]}\n" +
                                                 "export: {confirm: {half_width: 0.005" + confirm + "}}\n");
    return cli::read_run_config(folder / "c.yaml", {});
  }

  bool confirmed(const std::string& more, const std::vector<std::string>& boards = {"0011"}) {
    const cli::RunConfig config = read(more);
    cli::Exporter exporter(config, folder / "export");
    std::vector<latency::AgentDescription> agents;
    for (const std::string& board : boards) {
      agents.emplace_back();
      agents.back().device = "pi";
      agents.back().fingerprint = board;
    }
    exporter.set_boards(agents);
    return exporter.confirmed(network);
  }
};

}  // namespace

TEST_CASE("a confirmation counts for the boards that it was made on") {
  Scene scene;
  CHECK(scene.confirmed(""));
  CHECK(scene.confirmed("", {"2233", "0011"}));
  CHECK_FALSE(scene.confirmed("", {"2233"}));
}

TEST_CASE("what is not chosen any more is put aside until the choice is settled") {
  Scene scene;
  const cli::RunConfig config = scene.read("");
  const cli::Exporter exporter(config, scene.folder / "export");
  cli::ChosenNetwork other;
  other.id = "net-01";
  other.evaluated.candidate.architecture = config.space->largest();
  cli::ChosenNetwork again = scene.network;
  again.id = "net-02";
  exporter.arrange({other});
  CHECK_FALSE(std::filesystem::exists(exporter.folder(scene.network)));
  CHECK(exporter.confirmed(scene.network) == false);
  exporter.arrange({other});
  exporter.arrange({other, again});
  CHECK(exporter.confirmed(again));
  exporter.arrange({other});
  exporter.remove_unchosen();
  exporter.arrange({other, again});
  CHECK_FALSE(exporter.confirmed(again));
}

TEST_CASE("a confirmation of a cool board is none of a heated one") {
  Scene scene;
  CHECK_FALSE(scene.confirmed("measure: {sustain: 5min}"));
}

TEST_CASE("a confirmation that ended too wide is made again with a larger budget") {
  Scene scene(latency::Verdict::Unsteady);
  CHECK(scene.confirmed("budget: 10s"));
  CHECK_FALSE(scene.confirmed("budget: 20s"));
  CHECK(Scene().confirmed("budget: 20s"));
}
