#include <cstdio>
#include <filesystem>

#include "cli/commands/commands.h"
#include "cli/pipeline/exporter.h"
#include "cli/pipeline/open_supernet.h"
#include "cli/pipeline/parity.h"
#include "cli/pipeline/pick_rule.h"
#include "cli/pipeline/run_config.h"
#include "cli/pipeline/saved_config.h"
#include "cli/report/front_table.h"
#include "cli/report/html_report.h"
#include "cli/report/summary_json.h"
#include "core/error.h"
#include "core/file.h"
#include "network/onnx.h"

namespace lathe::cli {
namespace {

report::RunSummary summary_of(const std::filesystem::path& run) {
  const auto file = run / "summary.json";
  if (!std::filesystem::exists(file)) {
    throw DataError(file.string() +
                    ": no such file: expected the folder of a finished run (lathe run CONFIG)");
  }
  return report::read_summary(file);
}

/// Holds the network's exported file against LibTorch on test images, afresh.
void check(const std::filesystem::path& run, const report::FrontNetwork& network) {
  const RunConfig config = read_saved_config(run);
  supernet::SupernetModule& module = supernet::load_supernet_module();
  const auto supernet = open_supernet(config, run);
  const auto test_split = module.open_test_split(config.supernet, run / "test_reads.jsonl");
  const std::string onnx = read_file(run / "export" / network.id / "model.onnx");
  const network::Model model = network::import_onnx(onnx);
  const int64_t resolution = model.network.input_shape().at(2);
  const network::Tensor images =
      test_split->images(0, config.exported.check_images, resolution).images;
  const auto precision = model.quantization ? latency::Precision::Int8 : latency::Precision::Fp32;
  const ParityResult parity = check_parity(network.id, onnx, precision, "LibTorch",
                                           supernet->logits(model, images), images);
  std::printf("%s: %s agrees with LibTorch on %.4g %% of %lld images, logits within %.2g\n",
              network.id.c_str(), parity.runtime.c_str(), 100.0 * parity.top1_agreement,
              static_cast<long long>(parity.images), parity.max_abs_error);
}

/// LibTorch runs float networks only: an int8 one is left to its ONNX file.
void write_torchscript(const std::filesystem::path& run, const report::FrontNetwork& network,
                       const std::filesystem::path& folder) {
  const auto model = network::read_onnx_file(run / "export" / network.id / "model.onnx");
  if (model.quantization) {
    std::printf("%s: in int8, which TorchScript does not hold: model.onnx alone\n",
                network.id.c_str());
    return;
  }
  const auto target = folder / "model.torchscript.pt";
  supernet::load_supernet_module().write_torchscript(
      model, target, {{"lathe.architecture", network.architecture}});
  std::printf("%s\n", target.c_str());
}

}  // namespace

void export_command(const ExportArguments& arguments) {
  const report::RunSummary summary = summary_of(arguments.run);
  if (!summary.data.table.empty()) {
    throw ConfigError(arguments.run.string() + ": its accuracies come from a table (" +
                      summary.data.table +
                      "), so its networks have no weights and there is nothing to export");
  }
  const auto output = arguments.output.empty() ? arguments.run / "picked" : arguments.output;
  for (const size_t index : pick_networks(summary, arguments.pick)) {
    const report::FrontNetwork& network = summary.front[index];
    if (arguments.check) check(arguments.run, network);
    for (const report::ExportedFile& file : network.files) {
      const auto source = arguments.run / file.path;
      const auto target = output / network.id / source.filename();
      write_file_atomically(target, read_file(source));
      std::printf("%s\n", target.c_str());
    }
    if (arguments.torchscript) write_torchscript(arguments.run, network, output / network.id);
  }
}

void report_command(const ReportArguments& arguments) {
  const report::RunSummary summary = summary_of(arguments.run);
  const auto output = arguments.output.empty() ? arguments.run / "report.html" : arguments.output;
  const auto ranking = report::read_ranking(arguments.run / "ranking.json");
  write_file_atomically(output, report::html_report(summary, ranking ? &*ranking : nullptr));
  std::printf("%s\n%s\n", report::front_table(summary).c_str(), output.c_str());
}

}  // namespace lathe::cli
