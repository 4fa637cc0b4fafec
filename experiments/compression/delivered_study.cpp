#include "experiments/compression/delivered_study.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"

namespace lathe::study {
namespace {

using Json = nlohmann::json;

struct Arguments {
  std::string run;
  std::string out = "results.json";
};

/// The first baseline whose accuracy is known: a file, not a published network.
Json own_baseline(const Json& summary, const std::string& run) {
  for (const Json& baseline : summary.at("baselines")) {
    if (!baseline.at("accuracy").is_null()) return baseline;
  }
  throw DataError(run + ": no baseline has an accuracy, expected a file in report.baselines");
}

double top1(const Json& accuracy) { return accuracy.at("top1").get<double>(); }

Json delivered(const std::string& run) {
  const Json summary = Json::parse(read_file(std::filesystem::path(run) / "summary.json"));
  const Json baseline = own_baseline(summary, run);
  const Json& latency = baseline.at("latencies").at(0).at("latency");
  const double baseline_ms = latency.at("median_ms");
  const auto baseline_bytes = baseline.at("size_bytes").get<double>();
  std::printf("| network | test top-1 | ms | bytes | faster | smaller | points |\n");
  std::printf("|---|---|---|---|---|---|---|\n");
  std::printf("| %s | %.4f | %.4f | %.0f | | | |\n", baseline.at("name").get<std::string>().c_str(),
              top1(baseline.at("accuracy")), baseline_ms, baseline_bytes);
  Json rows = Json::array();
  for (const Json& network : summary.at("front")) {
    const double ms = network.at("latencies").at(0).at("confirmed").at("median_ms");
    double bytes = 0.0;
    for (const Json& file : network.at("files")) {
      if (file.at("format") == "onnx") bytes = file.at("size_bytes");
    }
    const double points = 100.0 * (top1(network.at("test")) - top1(baseline.at("accuracy")));
    rows.push_back({{"network", network.at("id")},
                    {"test_top1", top1(network.at("test"))},
                    {"median_ms", ms},
                    {"bytes", bytes},
                    {"faster", baseline_ms / ms},
                    {"smaller", baseline_bytes / bytes},
                    {"points", points},
                    {"macs", network.at("macs")},
                    {"params", network.at("params")},
                    {"steps", network.value("steps", Json())}});
    std::printf("| %s | %.4f | %.4f | %.0f | %.2f | %.2f | %+.2f |\n",
                network.at("id").get<std::string>().c_str(), top1(network.at("test")), ms, bytes,
                baseline_ms / ms, baseline_bytes / bytes, points);
  }
  return {{"baseline", baseline}, {"networks", rows}};
}

}  // namespace

int delivered_main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"What a run delivers against the file that its report compares with"};
  app.add_option("run", arguments.run, "folder of the run")->required();
  add_out(app, arguments.out);
  return run_study(app, "delivered", argc, argv, [&] {
    merge_results(arguments.out, {{"delivered", delivered(arguments.run)}});
  });
}

}  // namespace lathe::study
