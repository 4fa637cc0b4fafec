// A run whose networks are distilled, pruned and quantised: what is delivered, that it runs where
// nothing is known of the run, and that kills change none of it.

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/rng.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using Json = nlohmann::json;

namespace {

const std::string kLathe = std::string(LATHE_BINARY_DIR) + "/bin/lathe";

/// Counted objectives, so that two runs choose the same networks however the machine is.
std::filesystem::path write_config(const test::TemporaryFolder& folder, const std::string& run) {
  const auto path = folder / (run + ".yaml");
  write_file_atomically(
      path,
      "run: {name: tiny, seed: 3, folder: " + (folder / run).string() +
          "}\n"
          "data: {dataset: fashion_mnist, train_limit: 2000, validation: 500, calibration: 250}\n"
          "space: " LATHE_SOURCE_DIR
          "/configs/spaces/mobilenet_28.yaml\n"
          "supernet: {epochs: 1, batch: 64, checkpoint_interval: 100ms}\n"
          "search: {objectives: [accuracy, macs], population: 6, budget: {evaluations: 10}}\n"
          "compress:\n"
          "  distil: {epochs: 0.5}\n"
          "  prune: {target: \"macs x0.7\", rounds: 2, finetune_epochs: 0.25, images: 250}\n"
          "  quantize: {calibration_images: 250, training: {epochs: 0.25}}\n"
          "export: {networks: 2, check_images: 1000, confirm: {half_width: 0.1, budget: 1s}}\n"
          "devices: [{name: local, measure: {half_width: 0.1, budget: 1s}}]\n"
          "report: {baselines: []}\n");
  return path;
}

Json front_of(const std::filesystem::path& run) {
  return Json::parse(read_file(run / "summary.json")).at("front");
}

/// The files that a run delivers, by path in its export folder.
std::map<std::string, std::string> models_of(const std::filesystem::path& run) {
  std::map<std::string, std::string> models;
  for (const Json& network : front_of(run)) {
    const std::string id = network.at("id");
    models[id] = read_file(run / "export" / id / "model.onnx");
  }
  return models;
}

std::vector<std::string> step_names(const Json& network) {
  std::vector<std::string> names;
  for (const Json& step : network.at("steps")) names.push_back(step.at("name"));
  return names;
}

double top1(const Json& network) { return network.at("validation").at("top1"); }

/// MACs do not tell int8 from fp32, so bytes count as well.
bool is_better(const Json& a, const Json& b) {
  const auto costs = [](const Json& network) {
    return std::array<double, 3>{-top1(network), network.at("macs"),
                                 network.at("model_size_bytes")};
  };
  const auto x = costs(a);
  const auto y = costs(b);
  return x != y && x[0] <= y[0] && x[1] <= y[1] && x[2] <= y[2];
}

void check_delivered(const std::filesystem::path& run, const Json& front) {
  for (const Json& network : front) {
    const std::string id = network.at("id");
    CAPTURE(id);
    const bool int8 = network.at("precision") == "int8";
    CHECK(int8 == (id.find("-int8") != std::string::npos));
    CHECK(network.at("test").at("images") == 10000);
    CHECK(network.at("parity").at("images") == 1000);
    CHECK(network.at("parity").at("top1_agreement").get<double>() >= (int8 ? 0.99 : 1.0));
    const Json& latency = network.at("latencies").at(0);
    CHECK(latency.at("conditions").at("precision") == (int8 ? "int8" : "fp32"));
    CHECK(latency.at("searched").is_null());  // of another network: this one was pruned
    bool behind = false;
    for (const Json& other : front) behind = behind || is_better(other, network);
    CHECK(behind == !network.at("dominated_by").is_null());
    const Json data = Json::parse(read_file(run / "export" / id / "preprocessing.json"));
    CHECK(data.at("classes").size() == 10);
    CHECK(data.at("mean").size() == 1);
    CHECK(data.at("input").at("height") == network.at("resolution"));
  }
}

void check_steps(const Json& fp32, const Json& int8) {
  CHECK(step_names(fp32) == std::vector<std::string>{"inherited", "distilled", "pruned"});
  CHECK(step_names(int8) == std::vector<std::string>{"inherited", "distilled", "pruned",
                                                     "int8, calibrated", "int8, trained"});
  const Json& steps = int8.at("steps");
  for (size_t i = 0; i < fp32.at("steps").size(); ++i) CHECK(fp32.at("steps").at(i) == steps.at(i));
  const int64_t macs = steps.at(0).at("macs");
  const int64_t pruned = steps.at(2).at("macs");
  CHECK(static_cast<double>(pruned) <= 0.7 * static_cast<double>(macs));
  CHECK(fp32.at("macs") == pruned);
  CHECK(int8.at("macs") == pruned);
  CHECK(2 * steps.at(3).at("weight_bytes").get<int64_t>() <
        steps.at(2).at("weight_bytes").get<int64_t>());
  CHECK(4 * steps.at(3).at("peak_memory_bytes").get<int64_t>() ==
        steps.at(2).at("peak_memory_bytes").get<int64_t>());
  for (const Json& step : steps) {
    CHECK(step.at("latencies").at(0).at("latency").at("median_ms").get<double>() > 0.0);
  }
  CHECK(steps.at(0).at("latencies") == steps.at(1).at("latencies"));
  CHECK(steps.at(1).at("latencies") != steps.at(2).at("latencies"));
  CHECK(steps.at(2).at("latencies") != steps.at(3).at("latencies"));
}

}  // namespace

TEST_CASE("every step is applied, measured and reported, and its files run elsewhere") {
  const test::TemporaryFolder folder;
  const auto run = folder / "run";
  const auto plan = test::run_program({kLathe, "plan", write_config(folder, "run").string()});
  INFO(plan.second);
  CHECK(plan.first == 0);
  CHECK(plan.second.find("compress   distilled for 0.5 epochs") != std::string::npos);
  CHECK(plan.second.find("pruned to macs x0.7") != std::string::npos);
  const auto [code, output] =
      test::run_program({kLathe, "run", write_config(folder, "run").string()});
  INFO(output);
  REQUIRE(code == 0);
  CHECK(output.find("int8, trained") != std::string::npos);
  const Json front = front_of(run);
  REQUIRE(front.size() >= 2);
  check_delivered(run, front);
  for (size_t i = 0; i + 1 < front.size(); i += 2) check_steps(front.at(i), front.at(i + 1));

  const auto file = run / "export" / "net-01-int8" / "model.onnx";
  const auto measured = test::run_program(
      {kLathe, "measure", file.string(), "--precision", "int8", "--budget", "1s"});
  INFO(measured.second);
  CHECK(measured.first == 0);
  const auto picked = test::run_program({kLathe, "export", run.string(), "--pick", "net-01-int8",
                                         "--check", "--out", (folder / "out").string()});
  INFO(picked.second);
  CHECK(picked.first == 0);
  CHECK(read_file(folder / "out" / "net-01-int8" / "model.onnx") == read_file(file));
  const auto scripts = test::run_program({kLathe, "export", run.string(), "--pick", "all",
                                          "--torchscript", "--out", (folder / "out").string()});
  INFO(scripts.second);
  CHECK(scripts.first == 0);
  CHECK(std::filesystem::file_size(folder / "out" / "net-01" / "model.torchscript.pt") > 10000);
  CHECK_FALSE(std::filesystem::exists(folder / "out" / "net-01-int8" / "model.torchscript.pt"));

  // A file of which nothing is known but that it is a trained network, with batch norms of its own.
  const auto given = run / "export" / "net-01" / "trained.onnx";
  const auto compressed = test::run_program({kLathe,          "compress",
                                             given.string(),  "--data",
                                             "fashion_mnist", "--prune",
                                             "macs x0.8",     "--int8",
                                             "--set",         "data.train_limit=2000",
                                             "--set",         "data.validation=500",
                                             "--set",         "data.calibration=250",
                                             "--set",         "compress.prune.rounds=1",
                                             "--set",         "compress.prune.finetune_epochs=0.25",
                                             "--out",         (folder / "small").string()});
  INFO(compressed.second);
  REQUIRE(compressed.first == 0);
  const Json rows = Json::parse(read_file(folder / "small" / "compress.json"));
  REQUIRE(rows.size() == 3);
  CHECK(rows.at(0).at("macs") == front.at(0).at("macs"));
  CHECK(rows.at(0).at("test_top1").get<double>() ==
        doctest::Approx(front.at(0).at("test").at("top1").get<double>()).epsilon(0.0002));
  CHECK(rows.at(1).at("macs").get<double>() <= 0.8 * rows.at(0).at("macs").get<double>());
  CHECK(rows.at(2).at("top1_agreement_with_onnx_runtime").get<double>() >= 0.99);
  CHECK(std::filesystem::file_size(folder / "small" / "model-int8.onnx") > 1000);
  CHECK_FALSE(std::filesystem::exists(folder / "small" / "work"));
  CHECK(test::run_program({kLathe, "compress", given.string(), "--data", "fashion_mnist"}).first ==
        2);
  // --int8 leaves the settings of `quantize` in force.
  const auto unknown = test::run_program({kLathe, "compress", given.string(), "--data", "fashion_mnist", "--int8",
                                          "--set", "compress.quantize.observer=loud"});
  CHECK(unknown.first == 2);
  CHECK(unknown.second.find("compress.quantize.observer") != std::string::npos);
  {
    const FileLock other(folder / "small" / "lock");
    const auto busy = test::run_program({kLathe, "compress", given.string(), "--data", "fashion_mnist", "--int8",
                                         "--out", (folder / "small").string()});
    CHECK(busy.first == 3);
    CHECK(busy.second.find((folder / "small" / "lock").string()) != std::string::npos);
  }

  const auto bears = test::run_program({kLathe, "compress", given.string(), "--data", "fashion_mnist", "--sensitivity",
                                        "--set", "data.train_limit=2000", "--set", "data.validation=500", "--set",
                                        "data.calibration=250", "--out", (folder / "bears").string()});
  INFO(bears.second);
  REQUIRE(bears.first == 0);
  const Json sensitivity = Json::parse(read_file(folder / "bears" / "sensitivity.json"));
  CHECK(sensitivity.at("prune").size() >= 3);
  for (const Json& group : sensitivity.at("prune")) {
    CHECK(group.at("points").at(2).at("macs").get<int64_t>() < group.at("points").at(0).at("macs").get<int64_t>());
  }
  CHECK(sensitivity.at("int8").back().at("operator") == "linear");
  CHECK(bears.second.find("without fine-tuning") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "bears" / "work"));

  const std::string whole = read_file(file);
  write_file_atomically(folder / "half.onnx", whole.substr(0, whole.size() / 2));
  const auto refused = test::run_program({kLathe, "measure", (folder / "half.onnx").string()});
  INFO(refused.second);
  CHECK(refused.first == 3);
  CHECK(refused.second.find("half.onnx") != std::string::npos);

  // Kill -9 at any moment changes no delivered file.
  const auto config = write_config(folder, "killed");
  Rng rng(5);
  int kills = 0;
  int status = -1;
  for (int attempt = 0; attempt < 40 && status != 0; ++attempt) {
    test::ChildProcess process({kLathe, "run", config.string()});
    const auto patience = std::chrono::milliseconds(attempt < 12 ? rng.integer(500, 3000) : 600000);
    if (process.kill_after(patience)) ++kills;
    status = process.wait();
    INFO(process.output());
    REQUIRE((status == 0 || status == -SIGKILL));
  }
  CHECK(status == 0);
  CHECK(kills >= 5);
  CHECK(models_of(folder / "killed") == models_of(run));

  // Without int8 the same networks stay, and nothing is made again. Compared with a file that is
  // one of them, lathe finds the same of both.
  const auto models = models_of(run);
  write_file_atomically(folder / "own.onnx", models.at("net-01"));
  const auto again =
      test::run_program({kLathe, "run", (folder / "run.yaml").string(), "--set",
                         "compress.quantize=none", "--set", "report.baselines=[own.onnx]"});
  INFO(again.second);
  REQUIRE(again.first == 0);
  CHECK(again.second.find("own.onnx") != std::string::npos);
  const Json baseline = Json::parse(read_file(run / "summary.json")).at("baselines").at(0);
  CHECK(baseline.at("name") == "own.onnx");
  CHECK(baseline.at("accuracy") == front_of(run).at(0).at("test"));
  CHECK(baseline.at("macs") == front_of(run).at(0).at("macs"));
  CHECK(baseline.at("size_bytes") == models.at("net-01").size());
  CHECK(baseline.at("latencies").at(0).at("latency").at("median_ms").get<double>() > 0.0);
  write_file_atomically(folder / "own.onnx", whole);
  const auto not_floats = test::run_program(
      {kLathe, "run", (folder / "run.yaml").string(), "--set", "report.baselines=[own.onnx]"});
  CHECK(not_floats.first == 2);
  CHECK(not_floats.second.find("own.onnx: is quantised, expected a baseline of floats") !=
        std::string::npos);
  const auto left = models_of(run);
  CHECK(2 * left.size() == models.size());
  for (const auto& [id, model] : left) CHECK(model == models.at(id));

  // And int8 is made of them again, of the same weights.
  const auto back = test::run_program({kLathe, "run", (folder / "run.yaml").string()});
  INFO(back.second);
  REQUIRE(back.first == 0);
  CHECK(models_of(run) == models);
}
