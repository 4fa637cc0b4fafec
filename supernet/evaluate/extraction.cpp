#include "supernet/evaluate/extraction.h"

#include <algorithm>

#include "core/error.h"
#include "supernet/executor/rounding.h"

namespace lathe::supernet {
namespace {

void put(network::Weights& weights, const network::Parameter& parameter, const at::Tensor& value) {
  const auto [entry, fresh] = weights.emplace(parameter.name, network::Tensor{});
  if (!fresh && entry->second.shape != parameter.shape) {
    throw InvariantError("extract: tensor " + parameter.name + " is used as " +
                         network::to_string(entry->second.shape) + " and " +
                         network::to_string(parameter.shape) +
                         ", expected one shape in one network");
  }
  entry->second = to_network(value);
}

}  // namespace

network::Model make_model(const network::Network& network, ParameterSource& parameters,
                          const std::map<size_t, ChannelMoments>& moments) {
  network::Model model;
  model.network = network;
  const Plan plan = make_plan(network);
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    const bool normalises = std::holds_alternative<network::BatchNorm>(step.op);
    const size_t learned = normalises ? 2 : step.parameters.size();
    for (size_t p = 0; p < learned; ++p)
      put(model.weights, step.parameters[p], parameters.value(step.parameters[p]));
    if (!normalises) continue;
    put(model.weights, step.parameters[2], moments.at(s).mean);
    put(model.weights, step.parameters[3], moments.at(s).variance);
  }
  network::check_weights(model.network, model.weights);
  return model;
}

at::Tensor model_logits(const network::Model& model, const at::Tensor& images, int64_t batch) {
  const ModelExecutor executor(model, images.device());
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < images.size(0); begin += batch) {
    parts.push_back(executor.run(images.narrow(0, begin, std::min(batch, images.size(0) - begin))));
  }
  return at::cat(parts, 0);
}

search::AccuracyEstimate model_accuracy(const network::Model& model, const Batches& images,
                                        int64_t batch, at::Device device) {
  const ModelExecutor executor(model, device);
  const BatchRanges ranges(images.size(), batch);
  int64_t correct = 0;
  for (int64_t b = 0; b < ranges.count; ++b) {
    const Batch part = images.range(ranges.begin(b), ranges.begin(b + 1));
    correct += executor.run(part.images).argmax(1).eq(part.labels).sum().item<int64_t>();
  }
  return search::accuracy_estimate(correct, images.size());
}

}  // namespace lathe::supernet
