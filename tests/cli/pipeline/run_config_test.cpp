#include "cli/pipeline/run_config.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cli/pipeline/baselines.h"
#include "cli/pipeline/saved_config.h"
#include "core/error.h"
#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;

namespace {

const std::string kCells = LATHE_SOURCE_DIR "/configs/spaces/tables/nasbench201.yaml";
const std::string kStages = LATHE_SOURCE_DIR "/configs/spaces/mobilenet_28.yaml";
const std::string kAccuracy = "accuracy: {table: t.csv, column: top1}\n";
const std::string kDevice = "devices: [{name: pi, replay: t.csv, column: ms}]\n";
const std::string kSearch = "search: {objectives: [accuracy, latency@pi]}\n";

struct Config {
  test::TemporaryFolder folder;
  std::string path = (folder / "c.yaml").string();
  Config() { write_file_atomically(folder / "t.csv", "architecture,top1,ms\n0-0,1,2\n"); }

  cli::RunConfig read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write_file_atomically(path, text);
    return cli::read_run_config(path, overrides);
  }
  std::string fault(const std::string& text) {
    return test::message_of<ConfigError>([&] { read(text); });
  }
};

}  // namespace

TEST_CASE("a config with accuracy needs no data and no supernet; tables are relative to it") {
  Config file;
  const cli::RunConfig config =
      file.read("space: " + kCells + "\n" + kAccuracy + kDevice + kSearch);
  REQUIRE(config.accuracy);
  CHECK(config.accuracy->table == file.folder / "t.csv");
  CHECK(config.tables.at("pi").column == "ms");
  CHECK(config.devices.size() == 1);
  CHECK(config.boards().empty());
}

TEST_CASE("boards and tables stand beside each other in the file's order") {
  Config file;
  const cli::RunConfig config = file.read(
      "space: " + kStages + "\n" +
      "devices: [{name: a}, {name: pi, replay: t.csv, column: ms}, {name: b, threads: 2}]\n" +
      kSearch);
  REQUIRE(config.devices.size() == 3);
  CHECK(config.devices[0].name == "a");
  CHECK(config.devices[1].name == "pi");
  CHECK(config.devices[2].threads == 2);
  REQUIRE(config.boards().size() == 2);
  CHECK(config.boards()[1].name == "b");
  CHECK_FALSE(config.accuracy);
}

TEST_CASE("a run is tied to what changes its results, not to where its files are") {
  Config file;
  const std::string text = "space: " + kStages + "\ndevices: [{name: pi}]\n" + kSearch;
  const std::string before = file.read(text).identity;
  for (const char* same : {"data.cache=/elsewhere", "data.verify=false", "supernet.threads=1",
                           "supernet.device=cpu", "supernet.checkpoint_interval=5s",
                           "supernet.evaluation.memory=64MB"}) {
    CAPTURE(same);
    CHECK(file.read(text, {same}).identity == before);
  }
  for (const char* other : {"supernet.epochs=3", "supernet.evaluation.calibration_images=100",
                            "data.validation=100", "devices.0.measure.sustain=5min"}) {
    CAPTURE(other);
    CHECK(file.read(text, {other}).identity != before);
  }
}

TEST_CASE("a saved config finds its files beside the one that it was read from") {
  Config file;
  const std::string text = "space: " + kCells + "\n" + kAccuracy + kDevice + kSearch;
  const std::filesystem::path run = file.folder / "runs/a";
  std::filesystem::create_directories(run);
  write_file_atomically(run / "space.yaml", read_file(kCells));
  write_file_atomically(run / "config.yaml", cli::saved_config(file.read(text)));
  const cli::RunConfig saved = cli::read_saved_config(run);
  CHECK(saved.accuracy->table == file.folder / "t.csv");
  CHECK(saved.identity == file.read(text).identity);
  CHECK(saved.folder == run);
}

TEST_CASE("a saved config differs when a file that it names is replaced") {
  Config file;
  write_file_atomically(file.folder / "mine.onnx", "one");
  const std::string text = "space: " + kStages + "\nsearch: {objectives: [accuracy, macs]}\nreport: {baselines: [mine.onnx]}\n";
  const std::string before = cli::saved_config(file.read(text));
  CHECK(cli::saved_config(file.read(text)) == before);
  write_file_atomically(file.folder / "mine.onnx", "two");
  CHECK(cli::saved_config(file.read(text)) != before);
}

TEST_CASE("a run is tied to the content of its tables and to how they are read") {
  Config file;
  const std::string text = "space: " + kCells + "\n" + kAccuracy + kDevice + kSearch;
  const std::string before = file.read(text).identity;
  CHECK(file.read(text).identity == before);
  CHECK(file.read(text, {"devices.0.noise=0.1"}).identity != before);
  CHECK(file.read(text, {"accuracy.percent=true"}).identity != before);
  write_file_atomically(file.folder / "t.csv", "architecture,top1,ms\n0-0,1,3\n");
  CHECK(file.read(text).identity != before);
}

TEST_CASE("what has no meaning in a run over tables is refused with its line") {
  Config file;
  const std::string space = "space: " + kCells + "\n";
  const std::string at = file.path + ":";
  const std::string none = "no such section beside `accuracy`: nothing is trained";
  CHECK(file.fault(space + kAccuracy + kDevice + kSearch +
                   "data: {validation: 100}\nsupernet: {epochs: 1}\n"
                   "compress: {distil: {epochs: 1}}\n") ==
        at + "5: /data = {validation: ...}, expected " + none + "\n" + at +
            "6: /supernet = {epochs: ...}, expected " + none + "\n" + at +
            "7: /compress = {distil: ...}, expected " + none);
  CHECK(
      file.fault(space + kAccuracy + kDevice + kSearch + "export: {check: false}\n") ==
      at + "5: /export/check = false, expected no such key beside `accuracy`: no file is exported");
  CHECK(file.fault(space + "accuracy: {table: no.csv, column: top1}\n" +
                   "devices: [{name: pi, replay: /no/t.csv, column: ms}]\n" + kSearch) ==
        at + "2: /accuracy/table = no.csv, expected the CSV file of a table (" +
            (file.folder / "no.csv").string() +
            " does not exist); name yours with --set accuracy.table=/path/to/table.csv\n" + at +
            "3: /devices/0/replay = /no/t.csv, expected the CSV file of a table (/no/t.csv does "
            "not exist); name yours with --set devices.0.replay=/path/to/table.csv");
  CHECK(file.fault(space + kAccuracy +
                   "devices: [{name: pi, replay: t.csv, column: ms}, {name: pi, replay: t.csv, "
                   "column: ms}]\n" +
                   kSearch) == at + "3: /devices/1/name = pi, expected each device's name once");
  CHECK(file.fault(space + kAccuracy +
                   "devices: [{name: pi, replay: t.csv, column: ms, threads: 2}]\n" + kSearch)
            .find(at + "3: /devices/0/threads = 2, expected") == 0);
}

TEST_CASE(
    "distillation has a teacher, an ensemble or none, and hints where a teacher stays fixed") {
  Config file;
  const std::string trained = "space: " + kStages + "\nsearch: {objectives: [accuracy]}\n";
  const auto distil = [&](const std::string& keys) {
    return file.read(trained + "compress: {distil: {" + keys + "}}\n").distil;
  };
  CHECK(file.read(trained).distil.epochs == 0.0);
  CHECK(distil("epochs: 10").teachers == std::vector<std::string>{"largest"});
  CHECK(distil("epochs: 10").loss.alpha == 0.5);
  CHECK(distil("teacher: none").teachers.empty());
  CHECK(distil("teacher: [largest, a.onnx, /b.onnx]").teachers ==
        std::vector<std::string>{"largest", (file.folder / "a.onnx").string(), "/b.onnx"});
  const cli::DistilOptions all = distil(
      "warmup_epochs: 1, alpha: 1, beta: 2, temperature: 4, hints: [stage1, stage2=stage3], "
      "hint_weight: 0.1");
  CHECK(all.warmup_epochs == 1.0);
  CHECK(all.loss.alpha == 1.0);
  CHECK(all.loss.beta == 2.0);
  CHECK(all.loss.temperature == 4.0);
  CHECK(all.loss.hint_weight == 0.1);
  REQUIRE(all.loss.hints.size() == 2);
  CHECK(all.loss.hints[0].teacher == "stage1");
  CHECK(all.loss.hints[1].student == "stage2");
  CHECK(all.loss.hints[1].teacher == "stage3");
  CHECK(distil("mutual: true").mutual);
  const auto fault = [&](const std::string& keys) {
    return file.fault(trained + "compress: {distil: {" + keys + "}}\n");
  };
  const std::string at = file.path + ":3: /compress/distil/";
  CHECK(fault("mutual: true, hints: [stage1]") ==
        at + "hints = [stage1], expected none beside `mutual: true`: they are a fixed teacher's");
  CHECK(fault("teacher: none, mutual: true") ==
        at + "teacher = none, expected one, which `mutual` and `hints` need");
  CHECK(fault("temperature: 0").find(at + "temperature = 0, expected") == 0);
}

TEST_CASE("pruning and int8 are read, and held against the devices") {
  Config file;
  const std::string trained = "space: " + kStages + "\nsearch: {objectives: [accuracy]}\n";
  const auto config = [&](const std::string& keys) {
    return file.read(trained + "compress: {" + keys + "}\n");
  };
  CHECK_FALSE(file.read(trained).prune.enabled());
  CHECK_FALSE(file.read(trained).quantize.enabled);
  CHECK(config("quantize: int8").quantize.enabled);
  CHECK(config("quantize: {float_layers: 3}").quantize.options.float_layers == 3);
  const supernet::PruneOptions prune = config("prune: {target: \"latency@local x0.7\"}").prune;
  REQUIRE(prune.target);
  CHECK(prune.target->factor == 0.7);
  const std::string at = file.path + ":3: /compress/";
  CHECK(file.fault(trained + "compress: {prune: {target: \"latency@pi9 x0.7\"}}\n") ==
        at +
            "prune/target = \"latency@pi9 x0.7\", expected latency@ a board of the list `devices`, "
            "not pi9");
  CHECK(file.fault(trained + "compress: {quantise: int8}\n").find("did you mean \"quantize\"") !=
        std::string::npos);
  write_file_atomically(file.folder / "t.csv", "architecture,ms\n");
  const std::string replayed =
      "devices: [{name: pi, replay: t.csv, column: ms}]\ncompress: {quantize: int8}\n";
  CHECK(file.fault(trained + replayed) ==
        file.path +
            ":4: /compress/quantize = int8, expected none, since a device is a table, "
            "which knows no compressed networks");
}

TEST_CASE("published networks are measured on boards, and refused where there is none") {
  Config file;
  const std::string trained = "space: " + kStages + "\nsearch: {objectives: [accuracy]}\n";
  CHECK(file.read(trained).baselines == cli::default_baselines());
  CHECK(file.read(trained + "report: {baselines: []}\n").baselines.empty());
  CHECK(file.read(trained + "report: {baselines: [mnasnet]}\n").baselines ==
        std::vector<std::string>{"mnasnet"});
  CHECK(file.fault(trained + "report: {baselines: [resnet_18]}\n").find("resnet18") !=
        std::string::npos);
  CHECK(file.read(trained + "report: {baselines: [own.onnx, mnasnet]}\n").baselines ==
        std::vector<std::string>{(file.folder / "own.onnx").string(), "mnasnet"});
  CHECK(file.fault(trained + "report: {baselines: [own.pt]}\n").find("end in .onnx, not own.pt") !=
        std::string::npos);
  CHECK(file.fault("space: " + kCells + "\n" + kAccuracy + kSearch +
                   "devices: [{name: pi}]\nreport: {baselines: [own.onnx]}\n")
            .find("published networks alone, since accuracies are a table's") != std::string::npos);
  CHECK(file.fault("space: " + kCells + "\n" + kAccuracy + kSearch +
                   "devices: [{name: pi}]\nreport: {baselines: [largest]}\n")
            .find("published networks alone, since accuracies are a table's") != std::string::npos);
  const std::string replayed = "space: " + kCells + "\n" + kAccuracy + kDevice + kSearch;
  CHECK(file.read(replayed).baselines.empty());
  CHECK(file.fault(replayed + "report: {baselines: [mnasnet]}\n")
            .find(file.path + ":5: /report/baselines = ") == 0);
  CHECK(file.fault(replayed + "report: {baselines: [mnasnet]}\n")
            .find("expected [], since no device is a board") != std::string::npos);
}

TEST_CASE("a space without networks asks for tables everywhere") {
  Config file;
  const std::string space = "space: " + kCells + "\n";
  const std::string why = " (nasbench201 is a table's space, without networks)";
  const std::string at = file.path + ":";
  const std::string missing = file.fault(space + kDevice + kSearch);
  CHECK(missing.find(at + "1: /space = ") == 0);
  CHECK(missing.find(", expected `accuracy: {table: FILE, ...}` beside it" + why) !=
        std::string::npos);
  CHECK(file.fault(space + kAccuracy + "devices: [{name: pi}]\n" + kSearch)
            .find("expected `replay: FILE` for device pi" + why) != std::string::npos);
  CHECK(file.fault(space + kAccuracy + "search: {objectives: [accuracy, latency@local]}\n")
            .find("expected `replay: FILE` for device local" + why) != std::string::npos);
  CHECK(file.fault(space + kAccuracy + kDevice + "search: {objectives: [accuracy, peak_memory]}\n")
            .find("expected no peak_memory" + why) != std::string::npos);
  CHECK(file.read(space + kAccuracy + "search: {objectives: [accuracy, macs]}\n").devices.empty());
}

TEST_CASE("a surrogate's block tables are read beside the config, and must be the device's own") {
  Config file;
  const std::string table =
      R"({"format": "lathe block table 1", "space": "s", "device": "a", "fingerprint": "f",
          "engine": "xnnpack", "engine_version": "1", "precision": "fp32", "threads": 1,
          "covered": 1.0, "reports": [], "networks": [], "blocks": [
          {"structure": "0000000000000007ffffffffffffffff", "block": "stem", "input": "", "output": "",
           "macs": 5, "occurrences": 2, "median_ms": 0.25, "low_ms": 0.2, "high_ms": 0.3,
           "level": 0.95, "verdict": "clean"}]})";
  write_file_atomically(file.folder / "a.json", table);
  const auto text = [&](const std::string& device, const std::string& strategy) {
    return "space: " + kStages + "\ndevices: [" + device +
           ", {name: pi, replay: t.csv, column: ms}]\n"
           "search: {objectives: [accuracy, latency@pi], strategy: " +
           strategy + "}\n";
  };
  const std::string strategy = "{name: surrogate, block_tables: {a: a.json}}";
  const cli::RunConfig config = file.read(text("{name: a}", strategy));
  CHECK(config.search.strategy.block_costs.at("a") == models::PartCosts{{7, 0.25}});
  CHECK(search::identity_of(config.search).count("/search/strategy/block_tables/a") == 1);

  CHECK(file.fault(text("{name: a, threads: 2}", strategy))
            .find("expected a table of xnnpack, fp32, 2 threads as the device, not xnnpack, fp32, "
                  "1") != std::string::npos);
  CHECK(file.fault(text("{name: b}", strategy)).find("the name of a board of the list `devices`") !=
        std::string::npos);
  CHECK(file.fault(text("{name: a}", "{name: surrogate, block_tables: {pi: a.json}}"))
            .find("the name of a board of the list `devices`") != std::string::npos);
  CHECK(file.fault(text("{name: a}", "{name: surrogate, block_tables: {a: none.json}}"))
            .find("none.json") != std::string::npos);
  CHECK(file.fault(text("{name: a}", "{name: nsga2, block_tables: {a: a.json}}"))
            .find("block_tables") != std::string::npos);
}

TEST_CASE("runs may share a measurement store") {
  Config file;
  const std::string text = "space: " + kCells + "\n" + kAccuracy + kDevice + kSearch;
  CHECK(file.read(text).measurements.empty());
  CHECK(file.read("run: {measurements: all.sqlite}\n" + text).measurements == "all.sqlite");
}
