#include "supernet/compress/channel_scores.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "core/error.h"
#include "supernet/evaluate/recalibration.h"
#include "supernet/executor/executor.h"
#include "supernet/train/losses.h"

namespace lathe::supernet {
namespace {

using network::PruneCriterion;

constexpr int64_t kEntropyBins = 32;

bool needs_gradients(PruneCriterion criterion) {
  return criterion == PruneCriterion::Taylor || criterion == PruneCriterion::Fisher;
}

/// By convolution or linear layer: one number an image and channel, [images, channels].
using Activity = std::map<network::NodeId, at::Tensor>;

/// Returns the name of the step that hands on what the node computes.
std::string handing_on(const network::Network& network, const network::Node& node,
                       const std::vector<int>& uses) {
  if (uses[static_cast<size_t>(node.id)] != 1) return node.name;
  for (const network::Node& next : network.nodes()) {
    if (std::holds_alternative<network::BatchNorm>(next.op) && next.inputs[0] == node.id)
      return next.name;
  }
  return node.name;
}

/// A plan of one network that also gives the values of its layers: result r > 0 is layers[r - 1].
struct WatchedPlan {
  Plan plan;
  std::vector<network::NodeId> layers;
};

WatchedPlan watch(const network::Network& network,
                  const std::vector<network::ChannelGroup>& groups) {
  WatchedPlan watched{make_plan(network), {}};
  std::map<std::string, int> steps;
  for (size_t s = 0; s < watched.plan.steps.size(); ++s)
    steps[watched.plan.steps[s].name] = static_cast<int>(s);
  std::vector<bool> in_group(network.nodes().size(), false);
  for (const network::ChannelGroup& group : groups) {
    for (const network::NodeId id : group.nodes) in_group[static_cast<size_t>(id)] = true;
  }
  const std::vector<int> uses = network.use_counts();
  for (const network::Node& node : network.nodes()) {
    const bool layer = std::holds_alternative<network::Conv2d>(node.op) ||
                       std::holds_alternative<network::Linear>(node.op);
    if (!layer || !in_group[static_cast<size_t>(node.id)]) continue;
    const int step = steps.at(handing_on(network, node, uses));
    watched.plan.results.push_back(step);
    ++watched.plan.steps[static_cast<size_t>(step)].uses;
    watched.layers.push_back(node.id);
  }
  return watched;
}

/// Reduces values [N, C(, H, W)] to [N, C].
at::Tensor pixel_mean(const at::Tensor& x) {
  return x.dim() == 4 ? x.mean(at::IntArrayRef({2, 3})) : x;
}
at::Tensor pixel_sum(const at::Tensor& x) {
  return x.dim() == 4 ? x.sum(at::IntArrayRef({2, 3})) : x;
}

at::Tensor per_image(PruneCriterion criterion, const at::Tensor& activation,
                     const at::Tensor& gradient) {
  switch (criterion) {
    case PruneCriterion::MeanActivation:
      return pixel_mean(activation.abs());
    case PruneCriterion::Apoz:
      return pixel_mean(activation.ne(0).to(at::kFloat));
    case PruneCriterion::Entropy:
      return pixel_mean(activation);
    case PruneCriterion::Taylor:
      return pixel_mean(activation * gradient).abs();
    case PruneCriterion::Fisher:
      return pixel_sum(activation * gradient);
    default:
      throw InvariantError(std::string("image_scores: criterion = ") + to_string(criterion) +
                           ", expected one that needs images");
  }
}

/// Collects what per_image gives of every layer, batch by batch.
class Watcher {
 public:
  Watcher(const network::Model& model, const std::vector<network::ChannelGroup>& groups,
          PruneCriterion criterion, at::Device device)
      : model_(model),
        criterion_(criterion),
        device_(device),
        watched_(watch(model.network, groups)) {}

  Activity run(const Batches& images, int64_t count, int64_t batch) {
    const BatchRanges ranges(std::min(count, images.size()), batch);
    for (int64_t b = 0; b < ranges.count; ++b) {
      const Batch part = images.range(ranges.begin(b), ranges.begin(b + 1));
      if (needs_gradients(criterion_)) {
        pass_with_gradients(part);
      } else {
        pass(part);
      }
    }
    Activity activity;
    for (const auto& [layer, parts] : parts_) activity[layer] = at::cat(parts, 0);
    return activity;
  }

 private:
  void pass(const Batch& batch) {
    at::NoGradGuard no_gradients;
    ModelParameters parameters(model_.weights, device_);
    StoredBatchNorm policy;
    Executor(watched_.plan, parameters, policy)
        .run(batch.images, [this](size_t result, const at::Tensor& value) {
          if (result > 0) keep(result, value, {});
        });
  }

  void pass_with_gradients(const Batch& batch) {
    SharedWeights weights({model_.network}, 1, device_);
    weights.load(model_.weights);
    TrainableSlices slices(weights);
    TrainBatchNorm policy;
    std::vector<at::Tensor> values(watched_.plan.results.size());
    Executor(watched_.plan, slices, policy)
        .run(batch.images, [&values](size_t result, const at::Tensor& value) {
          if (result > 0) value.retain_grad();
          values[result] = value;
        });
    // The mean over the batch would make an image count less in a larger one.
    const auto images = static_cast<double>(batch.images.size(0));
    backward(cross_entropy(values[0], batch.labels, 0.0) * images);
    at::NoGradGuard no_gradients;
    for (size_t result = 1; result < values.size(); ++result) {
      const at::Tensor value = values[result].detach();
      const at::Tensor gradient = values[result].grad();  // none where the output does not depend
      keep(result, value, gradient.defined() ? gradient : at::zeros_like(value));
    }
  }

  void keep(size_t result, const at::Tensor& activation, const at::Tensor& gradient) {
    parts_[watched_.layers[result - 1]].push_back(
        per_image(criterion_, activation, gradient).to(at::kCPU, at::kDouble).contiguous());
  }

  const network::Model& model_;
  PruneCriterion criterion_;
  at::Device device_;
  WatchedPlan watched_;
  std::map<network::NodeId, std::vector<at::Tensor>> parts_;
};

/// Returns the entropy (nats) of each column's values over equal bins.
at::Tensor column_entropy(const at::Tensor& values) {
  std::vector<at::Tensor> entropies;
  for (int64_t c = 0; c < values.size(1); ++c) {
    const at::Tensor counts = at::histc(values.select(1, c), kEntropyBins);
    const at::Tensor share = counts / counts.sum();
    entropies.push_back(-at::xlogy(share, share).sum());
  }
  return at::stack(entropies);
}

std::vector<double> to_vector(const at::Tensor& values) {
  const at::Tensor flat = values.contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// The sums over each unit's channels of one value a channel.
network::ChannelScores summed(const std::vector<network::ChannelGroup>& groups,
                              const Activity& activity, PruneCriterion criterion) {
  std::map<network::NodeId, std::vector<double>> values;
  for (const auto& [layer, images] : activity) {
    const bool entropy = criterion == PruneCriterion::Entropy;
    values[layer] = to_vector(entropy ? column_entropy(images) : images.mean(0));
  }
  network::ChannelScores scores;
  for (const network::ChannelGroup& group : groups) {
    std::vector<double>& all = scores.emplace_back();
    for (const network::CoupledChannels& unit : group.units) {
      double sum = 0.0;
      for (const network::Channel& channel : unit) {
        const auto found = values.find(channel.node);
        if (found != values.end()) sum += found->second[static_cast<size_t>(channel.index)];
      }
      all.push_back(sum);
    }
  }
  return scores;
}

network::ChannelScores fisher(const std::vector<network::ChannelGroup>& groups,
                              const Activity& activity, const std::vector<int64_t>& macs) {
  network::ChannelScores scores;
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<double>& all = scores.emplace_back();
    for (const network::CoupledChannels& unit : groups[g].units) {
      at::Tensor sum;
      for (const network::Channel& channel : unit) {
        const auto found = activity.find(channel.node);
        if (found == activity.end()) continue;
        const at::Tensor column = found->second.select(1, channel.index);
        sum = sum.defined() ? sum + column : column;
      }
      all.push_back(sum.square().mean().item<double>() / static_cast<double>(macs[g]));
    }
  }
  return scores;
}

}  // namespace

network::ChannelScores image_scores(const network::Model& model,
                                    const std::vector<network::ChannelGroup>& groups,
                                    PruneCriterion criterion, const Batches& images, int64_t count,
                                    int64_t batch, at::Device device) {
  const Activity activity = Watcher(model, groups, criterion, device).run(images, count, batch);
  if (criterion != PruneCriterion::Fisher) return summed(groups, activity, criterion);
  return fisher(groups, activity, network::macs_of_units(model.network, groups));
}

}  // namespace lathe::supernet
