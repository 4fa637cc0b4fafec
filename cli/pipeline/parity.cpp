#include "cli/pipeline/parity.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "network/onnx.h"
#include "network/onnx_runtime_check.h"

namespace lathe::cli {
namespace {

size_t argmax(const float* values, size_t count) {
  return static_cast<size_t>(std::max_element(values, values + count) - values);
}

/// The first `count` of a tensor's outermost dimension.
network::Tensor first_rows(const network::Tensor& tensor, int64_t count) {
  network::Tensor first{tensor.shape, {}};
  first.shape[0] = count;
  const auto size = static_cast<std::ptrdiff_t>(network::element_count(first.shape));
  first.values.assign(tensor.values.begin(), tensor.values.begin() + size);
  return first;
}

/// Runs `onnx` in ONNX Runtime and compares with the logits of `other`.
ParityResult compare(const std::string& name, const std::string& onnx, const std::string& other,
                     const network::Tensor& logits, const network::Tensor& images) {
  const network::Tensor runtime = network::run_with_onnx_runtime(onnx, images);
  if (runtime.shape != logits.shape) {
    throw DataError(name + ": ONNX Runtime's output is " + network::to_string(runtime.shape) +
                    ", expected that of " + other + ", " + network::to_string(logits.shape));
  }
  ParityResult parity;
  parity.runtime = "ONNX Runtime";
  parity.images = images.shape.at(0);
  const auto classes = static_cast<size_t>(logits.shape.at(1));
  int64_t agreed = 0;
  for (int64_t image = 0; image < parity.images; ++image) {
    const float* a = logits.values.data() + static_cast<size_t>(image) * classes;
    const float* b = runtime.values.data() + static_cast<size_t>(image) * classes;
    for (size_t c = 0; c < classes; ++c) {
      const double error = std::abs(static_cast<double>(a[c]) - static_cast<double>(b[c]));
      if (std::isnan(error) || error > parity.max_abs_error) parity.max_abs_error = error;
    }
    agreed += argmax(a, classes) == argmax(b, classes) ? 1 : 0;
  }
  parity.top1_agreement = static_cast<double>(agreed) / static_cast<double>(parity.images);
  return parity;
}

void require_parity(const std::string& name, latency::Precision precision, const std::string& other,
                    const ParityResult& parity) {
  char counted[96];
  std::snprintf(counted, sizeof(counted), "top-1 agrees on %.4g %% of %lld images, expected ",
                100.0 * parity.top1_agreement, static_cast<long long>(parity.images));
  const std::string head = name + ": " + parity.runtime + " and " + other + " disagree: ";
  if (precision == latency::Precision::Int8) {
    if (!(parity.top1_agreement >= kLeastInt8Agreement)) {
      throw DataError(head + counted + "at least " + std::to_string(kLeastInt8Agreement));
    }
  } else if (!(parity.max_abs_error <= kParityTolerance) || parity.top1_agreement < 1.0) {
    throw DataError(head + "largest difference of logits " + std::to_string(parity.max_abs_error) +
                    ", expected at most " + std::to_string(kParityTolerance) + "; " + counted +
                    "all");
  }
}

/// Joins what was found on further images.
void add(ParityResult& parity, const ParityResult& more) {
  const auto before = static_cast<double>(parity.images);
  const auto after = static_cast<double>(more.images);
  parity.top1_agreement =
      (before * parity.top1_agreement + after * more.top1_agreement) / (before + after);
  parity.max_abs_error = std::max(parity.max_abs_error, more.max_abs_error);
  parity.runtime = more.runtime;
  parity.images += more.images;
}

}  // namespace

ParityResult check_parity(const std::string& name, const std::string& onnx,
                          latency::Precision precision, const std::string& other,
                          const network::Tensor& logits, const network::Tensor& images) {
  const ParityResult parity = compare(name, onnx, other, logits, images);
  require_parity(name, precision, other, parity);
  return parity;
}

EngineTest test_on_engine(const std::string& name, const std::string& onnx,
                          const std::string& runner,
                          const std::function<network::Tensor(const network::Tensor&)>& run,
                          supernet::TestSplit& test_split, int64_t check_images) {
  const network::Shape input = network::import_onnx(onnx).network.input_shape();
  constexpr int64_t kBytesAtOnce = int64_t{16} << 20;
  const int64_t at_once = std::max<int64_t>(1, kBytesAtOnce / (4 * network::element_count(input)));
  int64_t images = 0;
  int64_t correct = 0;
  ParityResult parity;
  for (;;) {
    const supernet::LabelledImages part = test_split.images(images, at_once, input.at(2));
    if (part.labels.empty()) break;
    const network::Tensor logits = run(part.images);
    const auto classes = static_cast<size_t>(logits.shape.at(1));
    for (size_t i = 0; i < part.labels.size(); ++i) {
      const auto best = static_cast<int64_t>(argmax(logits.values.data() + i * classes, classes));
      correct += best == part.labels[i] ? 1 : 0;
    }
    images += static_cast<int64_t>(part.labels.size());
    const auto more =
        std::min(check_images - parity.images, static_cast<int64_t>(part.labels.size()));
    if (more > 0) {
      add(parity,
          compare(name, onnx, runner, first_rows(logits, more), first_rows(part.images, more)));
    }
  }
  if (check_images > 0) require_parity(name, latency::Precision::Int8, runner, parity);
  EngineTest result;
  result.accuracy = search::accuracy_estimate(correct, images);
  if (check_images > 0) result.parity = parity;
  return result;
}

}  // namespace lathe::cli
