#include "supernet/training_memory.h"

#include <algorithm>
#include <map>
#include <string>

#include "core/error.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kFloat = 4;
/// LibTorch's libraries, oneDNN's kernels and their scratch memory.
constexpr int64_t kProgram = int64_t{300} << 20;
/// Gradients of activations live beside the activations, few at a time.
constexpr double kBackward = 1.25;

/// Values of all outputs that the backward pass needs, for one image. An activation runs inside
/// the operator before it where that has no other reader.
int64_t kept_values(const network::Network& network) {
  const std::vector<int> uses = network.use_counts();
  int64_t values = 0;
  for (const network::Node& node : network.nodes()) {
    const bool fused = std::holds_alternative<network::Activation>(node.op) &&
                       uses[static_cast<size_t>(node.inputs[0])] == 1;
    if (!fused) values += network::element_count(node.shape);
  }
  return values;
}

/// Learned values; the statistics of batch norm are not among them.
int64_t shared_values(const search::SearchSpace& space) {
  std::map<std::string, network::Shape> shapes = search::shared_shapes(space);
  for (const network::Network& network : space.covering()) {
    for (const network::Node& node : network.nodes()) {
      if (!std::holds_alternative<network::BatchNorm>(node.op)) continue;
      for (size_t p = 2; p < node.parameters.size(); ++p) shapes.erase(node.parameters[p].name);
    }
  }
  int64_t values = 0;
  for (const auto& [name, shape] : shapes) values += network::element_count(shape);
  return values;
}

std::string megabytes(int64_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

}  // namespace

TrainingMemory estimate_training_memory(const search::SearchSpace& space,
                                        const TrainOptions& options, int64_t images) {
  const network::Network largest = space.lower(space.largest());
  // Values and momentum twice, here and for a roll-back; gradients once.
  int64_t copies = 5;
  if (options.ema > 0.0) copies += 2;
  if (options.sampler.name == "progressive") copies += 1;
  TrainingMemory memory;
  memory.weights = copies * kFloat * shared_values(space);
  memory.activations = static_cast<int64_t>(
      kBackward * static_cast<double>(options.batch * kFloat * kept_values(largest)));
  memory.images = images * network::element_count(largest.input_shape());
  memory.program = kProgram;
  return memory;
}

void check_training_memory(const TrainingMemory& need, const TrainOptions& options,
                           int64_t available_bytes) {
  if (need.total() <= available_bytes) return;
  const int64_t left = available_bytes - (need.total() - need.activations);
  const int64_t per_image = std::max<int64_t>(1, need.activations / options.batch);
  const int64_t fitting = std::max<int64_t>(0, left) / per_image;
  throw ConfigError("training needs about " + megabytes(need.total()) + " (" +
                    megabytes(need.activations) + " for the activations of a batch of " +
                    std::to_string(options.batch) + "), " + megabytes(available_bytes) +
                    " are available; " +
                    (fitting >= 2 ? "lower supernet.batch to " + std::to_string(fitting) + " or less"
                                  : "choose a smaller space or a machine with more memory"));
}

}  // namespace lathe::supernet
