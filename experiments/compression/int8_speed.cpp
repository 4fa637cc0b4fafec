#include "experiments/compression/int8_speed.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "core/clock.h"
#include "core/file.h"
#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "experiments/support/command_line.h"
#include "network/onnx.h"

namespace lathe::study {
namespace {

constexpr int kBlocks = 41;
constexpr double kBlockSeconds = 0.01;

double seconds_of(device::Runnable& runnable, int runs) {
  const double start = steady_clock().now_s();
  for (int i = 0; i < runs; ++i) runnable.run();
  return (steady_clock().now_s() - start) / runs;
}

int runs_a_block(device::Runnable& runnable) {
  const double once = seconds_of(runnable, 20);
  return std::max(1, static_cast<int>(kBlockSeconds / once));
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kBlocks / 2, values.end());
  return values[kBlocks / 2];
}

}  // namespace

Int8Speed int8_speed(const network::Model& floats, const network::Model& integers) {
  const auto engine = device::make_xnnpack_engine();
  const auto fp32 = engine->prepare(floats, {1, latency::Precision::Fp32});
  const auto int8 = engine->prepare(integers, {1, latency::Precision::Int8});
  const int fp32_runs = runs_a_block(*fp32);
  const int int8_runs = runs_a_block(*int8);
  std::vector<double> fp32_s;
  std::vector<double> int8_s;
  for (int block = 0; block < kBlocks; ++block) {
    fp32_s.push_back(seconds_of(*fp32, fp32_runs));
    int8_s.push_back(seconds_of(*int8, int8_runs));
  }
  return {engine->name() + " " + engine->version(), median(fp32_s), median(int8_s)};
}

std::vector<int64_t> top_classes(const network::Tensor& logits) {
  const auto classes = static_cast<std::ptrdiff_t>(logits.shape[1]);
  std::vector<int64_t> top;
  for (auto row = logits.values.begin(); row != logits.values.end(); row += classes) {
    top.push_back(std::max_element(row, row + classes) - row);
  }
  return top;
}

std::vector<int64_t> engine_classes(const std::string& onnx, const network::Tensor& images) {
  const auto runnable = device::make_xnnpack_engine()->prepare(network::import_onnx(onnx),
                                                               {1, latency::Precision::Int8});
  const auto size =
      static_cast<std::ptrdiff_t>(network::element_count(images.shape) / images.shape[0]);
  std::vector<int64_t> classes;
  for (auto image = images.values.begin(); image != images.values.end(); image += size) {
    runnable->write_input({image, image + size});
    runnable->run();
    const std::vector<float> logits = runnable->read_output();
    classes.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  return classes;
}

int int8_speed_main(int argc, char** argv) {
  CLI::App app{"fp32 and int8 files on this build's engine"};
  std::vector<std::string> names;
  app.add_option("name", names, "NAME of NAME.onnx and NAME.int8.onnx")->required();
  return run_study(app, "int8_speed", argc, argv, [&] {
    for (const std::string& name : names) {
      const Int8Speed speed = int8_speed(network::import_onnx(read_file(name + ".onnx")),
                                         network::import_onnx(read_file(name + ".int8.onnx")));
      std::printf("%s: %s: fp32 %.4f ms, int8 %.4f ms: %.2f times\n", name.c_str(),
                  speed.engine.c_str(), 1e3 * speed.fp32_s, 1e3 * speed.int8_s, speed.ratio());
    }
  });
}

}  // namespace lathe::study
