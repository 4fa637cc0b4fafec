// classify MODEL.onnx IMAGE [COUNT]: prints the classes that a network exported by lathe finds most
// probable. Exit codes as lathe's: 0 ok, 2 wrong arguments, 3 a file that cannot be used.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "image_tensor.h"
#include "network.h"
#include "preprocessing.h"

namespace {

constexpr const char* kUsage =
    "usage: classify MODEL.onnx IMAGE [COUNT]\n"
    "  MODEL.onnx  exported by lathe, with its preprocessing.json in the same folder\n"
    "  IMAGE       a PNG, JPEG, ... file\n"
    "  COUNT       how many classes to print, most probable first (1 to 1000; default 5)\n";

std::optional<size_t> count_of(const std::string& text) {
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  if (text.empty() || text.size() > 4 || !digits) return std::nullopt;
  const int count = std::stoi(text);
  if (count < 1 || count > 1000) return std::nullopt;
  return static_cast<size_t>(count);
}

/// Returns the softmax of the logits.
std::vector<double> probabilities(const std::vector<float>& logits) {
  // Subtracted, so that nothing overflows.
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> values;
  for (const float logit : logits) values.push_back(std::exp(double{logit} - largest));
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (double& value : values) value /= sum;
  return values;
}

void classify(const std::filesystem::path& model, const std::filesystem::path& image,
              size_t count) {
  const std::filesystem::path description = model.parent_path() / "preprocessing.json";
  const Preprocessing wanted = read_preprocessing(description);
  const auto network = load_network(model);
  const std::vector<float> logits =
      network->logits(image_tensor(image, wanted), wanted.channels, wanted.height, wanted.width);
  if (logits.size() != wanted.classes.size()) {
    throw std::runtime_error(model.string() + ": gives " + std::to_string(logits.size()) +
                             " values, but " + description.string() + " names " +
                             std::to_string(wanted.classes.size()) +
                             " classes; copy both from the same exported folder");
  }
  if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
    throw std::runtime_error(model.string() + ": gives values that are not numbers");
  }
  const std::vector<double> shares = probabilities(logits);
  std::vector<size_t> order(shares.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shares[a] > shares[b]; });
  order.resize(std::min(count, order.size()));
  for (const size_t i : order) std::printf("%.6f  %s\n", shares[i], wanted.classes[i].c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 1 && (arguments[0] == "--help" || arguments[0] == "-h")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const bool fits = arguments.size() == 2 || arguments.size() == 3;
  const auto count = count_of(arguments.size() == 3 ? arguments[2] : "5");
  if (!fits || !count) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    classify(arguments[0], arguments[1], *count);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return 3;
  }
  return 0;
}
