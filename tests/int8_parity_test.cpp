// An int8 network of real images: the supernet's rounding, exact integers, the agent's engine, ONNX
// Runtime, and files that load in processes that know nothing of how they were made.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/file.h"
#include "device_agent/engine/xnnpack/xnnpack_engine.h"
#include "network/onnx.h"
#include "network/onnx_runtime_check.h"
#include "network/quantized_executor.h"
#include "supernet/supernet.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using network::Tensor;

namespace {

using Classes = std::vector<int64_t>;

Classes top_classes(const Tensor& logits) {
  const auto classes = static_cast<size_t>(logits.shape[1]);
  Classes top;
  for (size_t i = 0; i < logits.values.size(); i += classes) {
    const auto begin = logits.values.begin() + static_cast<std::ptrdiff_t>(i);
    top.push_back(std::max_element(begin, begin + static_cast<std::ptrdiff_t>(classes)) - begin);
  }
  return top;
}

double agreement(const Classes& a, const Classes& b) {
  REQUIRE(a.size() == b.size());
  size_t same = 0;
  for (size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
  return static_cast<double>(same) / static_cast<double>(a.size());
}

/// The first `count` images.
Tensor first_of(const Tensor& images, int64_t count) {
  Tensor first{images.shape, images.values};
  first.shape[0] = count;
  first.values.resize(static_cast<size_t>(network::element_count(first.shape)));
  return first;
}

Classes engine_classes(const std::string& file, const Tensor& images) {
  const auto engine = device::make_xnnpack_engine();
  const auto runnable = engine->prepare(network::import_onnx(file), {1, latency::Precision::Int8});
  Tensor logits{{images.shape[0], 0}, {}};
  const auto size =
      static_cast<std::ptrdiff_t>(network::element_count(images.shape) / images.shape[0]);
  for (auto image = images.values.begin(); image != images.values.end(); image += size) {
    runnable->write_input({image, image + size});
    runnable->run();
    const std::vector<float> output = runnable->read_output();
    logits.values.insert(logits.values.end(), output.begin(), output.end());
  }
  logits.shape[1] = static_cast<int64_t>(logits.values.size()) / images.shape[0];
  return top_classes(logits);
}

/// A small network of Fashion-MNIST, trained for a moment.
struct Trained {
  Trained() {
    space = search::read_search_space(LATHE_SOURCE_DIR "/configs/spaces/mobilenet_28.yaml");
    supernet::SupernetOptions options;
    options.data.train_limit = 5000;
    options.data.validation = 1000;
    options.data.calibration = 500;
    options.threads = 1;
    supernet = supernet::load_supernet_module().create(*space, options, folder / "run");
    const auto smallest = space->lower(space->smallest());
    supernet::Supernet::FineTuneOptions training;
    training.epochs = 2;
    training.learning_rate = 0.1;
    network::Model fresh{smallest, network::random_weights(smallest, 3)};
    model = supernet->fine_tune(fresh, nullptr, training, no_progress()).model;
  }
  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  std::unique_ptr<supernet::Supernet> supernet;
  network::Model model;
};

void check_parity(const Trained& trained, const supernet::QuantizedModel& quantized,
                  const std::string& name) {
  CAPTURE(name);
  const network::Model& model = quantized.model;
  const auto [images, labels] =
      trained.supernet->validation_images(1000, model.network.input_shape()[2]);
  const Classes simulated = top_classes(trained.supernet->logits(model, images));
  const Tensor few = first_of(images, 200);
  const Classes exact = top_classes(network::run_quantized(model, few));
  CHECK(agreement(exact, Classes(simulated.begin(), simulated.begin() + 200)) >= 0.995);

  network::OnnxExportOptions dynamic;
  dynamic.dynamic_batch = true;
  const std::string file = network::to_onnx(model, dynamic);
  const Classes engine = engine_classes(file, images);
  const Classes runtime = top_classes(network::run_with_onnx_runtime(file, images));
  CHECK(agreement(engine, runtime) >= 0.995);
  CHECK(agreement(engine, simulated) >= 0.995);
  // The accuracy that is reported is the engine's.
  CHECK(std::abs(agreement(engine, labels) - quantized.report.after.top1) <= 0.002);

  const auto path = trained.folder / (name + ".onnx");
  write_file_atomically(path, network::to_onnx(model));
  const auto [status, output] =
      test::run_program({LATHE_PROGRAM, "measure", path.string(), "--budget", "1s"});
  CAPTURE(output);
  CHECK(status == 0);
}

}  // namespace

TEST_CASE("An int8 network computes the same in training, exactly, on the board and elsewhere") {
  const Trained trained;
  supernet::QuantizeOptions options;
  const auto calibrated =
      trained.supernet->quantize(trained.model, nullptr, options, no_progress());
  CHECK(calibrated.report.before.top1 > 0.6);
  CHECK(calibrated.report.before.top1 - calibrated.report.after.top1 < 0.02);
  check_parity(trained, calibrated, "calibrated");

  options.max_loss = 0.0;
  options.float_layers = 3;
  const auto mixed = trained.supernet->quantize(trained.model, nullptr, options, no_progress());
  check_parity(trained, mixed, "mixed");

  options.float_layers = 0;
  options.equalize = true;
  options.clip_weights = true;
  options.training.epochs = 0.5;
  const auto tuned =
      trained.supernet->quantize(trained.model, &trained.model, options, no_progress());
  CHECK(tuned.report.trained.images == 1000);
  CHECK(tuned.report.after.top1 >= tuned.report.calibrated.top1);
  check_parity(trained, tuned, "trained");
}
