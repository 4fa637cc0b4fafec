#include "experiments/supernet/usual_network.h"

#include "supernet/executor/batch_norm.h"
#include "supernet/weights/shared_weights.h"

namespace lathe::study {
UsualSupernet::UsualSupernet(const std::vector<network::Network>& networks, uint64_t seed) {
  const supernet::SharedWeights initial(networks, seed, at::kCPU);
  for (const supernet::SharedWeights::Entry& entry : initial.entries()) {
    at::Tensor values = initial.slice({entry.name, entry.shape}).clone();
    velocities_[entry.name] = at::zeros_like(values);
    parameters_[entry.name] = values.requires_grad_(true);
  }
}

at::Tensor UsualSupernet::slice(const network::Parameter& parameter) const {
  at::Tensor value = parameters_.at(parameter.name);
  for (size_t d = 0; d < parameter.shape.size(); ++d) {
    const auto dimension = static_cast<int64_t>(d);
    const int64_t full = value.size(dimension);
    const int64_t start = d < 2 ? 0 : (full - parameter.shape[d]) / 2;
    if (parameter.shape[d] != full) value = value.narrow(dimension, start, parameter.shape[d]);
  }
  return value.contiguous();
}

at::Tensor UsualSupernet::run(const network::Node& node, const std::vector<at::Tensor>& inputs,
                              bool training, double momentum) {
  const at::Tensor& x = inputs[0];
  const auto parameter = [&](size_t index) { return slice(node.parameters[index]); };
  if (const auto* conv = std::get_if<network::Conv2d>(&node.op)) {
    const at::Tensor bias = conv->bias ? parameter(1) : at::Tensor();
    return at::conv2d(x, parameter(0), bias, conv->stride, conv->padding, 1, conv->groups);
  }
  if (const auto* linear = std::get_if<network::Linear>(&node.op)) {
    return at::linear(x, parameter(0), linear->bias ? parameter(1) : at::Tensor());
  }
  if (const auto* norm = std::get_if<network::BatchNorm>(&node.op)) {
    Statistics& kept = statistics_[node.parameters[0].name];
    const int64_t channels = x.size(1);
    if (!kept.mean.defined() || kept.mean.size(0) < channels) {
      kept = {at::zeros({channels}), at::ones({channels}), 0};
    }
    const double factor =
        momentum > 0.0 ? momentum : 1.0 / static_cast<double>(training ? ++kept.batches : 1);
    return at::batch_norm(x, parameter(0), parameter(1), kept.mean.narrow(0, 0, channels),
                          kept.variance.narrow(0, 0, channels), training, factor, norm->epsilon,
                          /*cudnn_enabled=*/false);
  }
  if (const auto* activation = std::get_if<network::Activation>(&node.op)) {
    return supernet::activate(x, activation->kind);
  }
  if (std::holds_alternative<network::Add>(node.op)) return x + inputs[1];
  if (std::holds_alternative<network::Multiply>(node.op)) return x * inputs[1];
  if (std::holds_alternative<network::Concat>(node.op)) return at::cat(inputs, 1);
  if (const auto* part = std::get_if<network::ChannelSlice>(&node.op)) {
    return x.slice(1, part->begin, part->end);
  }
  if (const auto* shuffle = std::get_if<network::ChannelShuffle>(&node.op)) {
    return at::channel_shuffle(x, shuffle->groups);
  }
  if (const auto* pool = std::get_if<network::MaxPool>(&node.op)) {
    return at::max_pool2d(x, pool->kernel, pool->stride, pool->padding);
  }
  if (const auto* pool = std::get_if<network::AveragePool>(&node.op)) {
    return at::avg_pool2d(x, pool->kernel, pool->stride, pool->padding, false, false);
  }
  if (std::holds_alternative<network::GlobalAveragePool>(node.op)) {
    return at::adaptive_avg_pool2d(x, {1, 1});
  }
  if (std::holds_alternative<network::Flatten>(node.op)) return at::flatten(x, 1);
  throw InvariantError(std::string("the usual network: ") + network::operator_name(node.op) +
                       " of " + node.name + " is not among its layers");
}

at::Tensor UsualSupernet::forward(const network::Network& network, const at::Tensor& images,
                                  bool training, double momentum) {
  std::vector<at::Tensor> outputs(network.nodes().size());
  std::vector<int> uses = network.use_counts();
  for (const network::Node& node : network.nodes()) {
    at::Tensor& output = outputs[static_cast<size_t>(node.id)];
    if (node.id == network.input()) {
      const bool fits = images.size(2) == node.shape[2] && images.size(3) == node.shape[3];
      output =
          fits ? images : at::upsample_bilinear2d(images, {node.shape[2], node.shape[3]}, false);
      continue;
    }
    std::vector<at::Tensor> inputs;
    for (const network::NodeId id : node.inputs) inputs.push_back(outputs[static_cast<size_t>(id)]);
    output = run(node, inputs, training, momentum);
    for (const network::NodeId id : node.inputs) {
      if (--uses[static_cast<size_t>(id)] == 0) outputs[static_cast<size_t>(id)] = at::Tensor();
    }
  }
  return outputs[static_cast<size_t>(network.output())];
}

void UsualSupernet::reset_statistics() { statistics_.clear(); }

void UsualSupernet::step(double learning_rate) {
  at::NoGradGuard no_gradients;
  for (auto& [name, value] : parameters_) {
    at::Tensor gradient = value.grad();
    if (!gradient.defined()) continue;
    if (value.dim() > 1) gradient = gradient.add(value, 1e-4);
    at::Tensor& velocity = velocities_[name];
    velocity.mul_(0.9).add_(gradient);
    value.add_(gradient.add(velocity, 0.9), -learning_rate);
    value.mutable_grad().zero_();
  }
}

}  // namespace lathe::study
