#include "supernet/weights/shared_weights.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "supernet/data/batches.h"

namespace lathe::supernet {
namespace {

bool has_weight(const network::Operator& op) {
  return std::holds_alternative<network::Conv2d>(op) || std::holds_alternative<network::Linear>(op);
}

/// Learned parameters come first in a node's list; the two statistics of BN follow.
size_t learned_parameters(const network::Node& node) {
  return std::holds_alternative<network::BatchNorm>(node.op) ? 2 : node.parameters.size();
}

void fill(float* values, const SharedWeights::Entry& entry, bool is_gamma, const Rng& root) {
  const auto count = network::element_count(entry.shape);
  if (!entry.decayed) {
    std::fill(values, values + count, is_gamma ? 1.0F : 0.0F);
    return;
  }
  Rng rng = root.derive("init:" + entry.name);
  const bool linear = entry.shape.size() == 2;
  const double fan_out =
      linear ? 0.0 : static_cast<double>(entry.shape[0] * entry.shape[2] * entry.shape[3]);
  // A depthwise filter feeds one output channel only.
  const double fan = !linear && entry.shape[1] == 1
                         ? static_cast<double>(entry.shape[2] * entry.shape[3])
                         : fan_out;
  const double deviation = linear ? 0.01 : std::sqrt(2.0 / fan);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(rng.normal() * deviation);
}

}  // namespace

SharedWeights::SharedWeights(const std::vector<network::Network>& networks, uint64_t seed,
                             at::Device device) {
  std::map<std::string, Entry> found;
  std::set<std::string> gammas;
  for (const network::Network& network : networks) {
    for (const network::Node& node : network.nodes()) {
      for (size_t p = 0; p < learned_parameters(node); ++p) {
        const network::Parameter& parameter = node.parameters[p];
        Entry& entry = found[parameter.name];
        const bool decayed = p == 0 && has_weight(node.op);
        if (p == 0 && std::holds_alternative<network::BatchNorm>(node.op))
          gammas.insert(parameter.name);
        if (entry.name.empty()) {
          entry = {parameter.name, parameter.shape, 0, decayed};
          continue;
        }
        if (entry.shape.size() != parameter.shape.size() || entry.decayed != decayed) {
          throw InvariantError("shared tensor " + parameter.name +
                               ": shape = " + network::to_string(parameter.shape) +
                               ", expected the rank and role of " +
                               network::to_string(entry.shape));
        }
        for (size_t d = 0; d < entry.shape.size(); ++d) {
          entry.shape[d] = std::max(entry.shape[d], parameter.shape[d]);
        }
      }
    }
  }
  int64_t total = 0;
  for (const bool decayed : {true, false}) {
    for (auto& [name, entry] : found) {
      if (entry.decayed != decayed) continue;
      entry.offset = total;
      total += network::element_count(entry.shape);
      by_name_[name] = entries_.size();
      entries_.push_back(entry);
    }
    if (decayed) decayed_count_ = total;
  }
  at::Tensor host = at::empty({total}, at::kFloat);
  const Rng root(seed);
  for (const Entry& entry : entries_) {
    fill(host.data_ptr<float>() + entry.offset, entry, gammas.count(entry.name) > 0, root);
  }
  values_ = host.to(device);
  gradients_ = at::zeros_like(values_);
}

at::Tensor SharedWeights::view(const at::Tensor& flat, const network::Parameter& parameter) const {
  const auto found = by_name_.find(parameter.name);
  if (found == by_name_.end())
    throw InvariantError("shared tensor " + parameter.name + ": there is none");
  const Entry& entry = entries_[found->second];
  const network::Shape& shape = parameter.shape;
  bool fits = shape.size() == entry.shape.size();
  for (size_t d = 0; fits && d < shape.size(); ++d) {
    fits = shape[d] <= entry.shape[d] && (d < 2 || (entry.shape[d] - shape[d]) % 2 == 0);
  }
  if (!fits) {
    throw InvariantError("shared tensor " + parameter.name +
                         ": slice = " + network::to_string(shape) + ", expected a part of " +
                         network::to_string(entry.shape));
  }
  at::Tensor view =
      flat.narrow(0, entry.offset, network::element_count(entry.shape)).view(entry.shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == entry.shape[d]) continue;
    const int64_t start = d < 2 ? 0 : (entry.shape[d] - shape[d]) / 2;
    view = view.narrow(static_cast<int64_t>(d), start, shape[d]);
  }
  return view;
}

at::Tensor SharedWeights::slice(const network::Parameter& parameter) const {
  return view(values_, parameter);
}

at::Tensor SharedWeights::gradient_slice(const network::Parameter& parameter) const {
  return view(gradients_, parameter);
}

void SharedWeights::load(const network::Weights& weights) {
  for (const Entry& entry : entries_) {
    const auto found = weights.find(entry.name);
    if (found == weights.end() || found->second.shape != entry.shape) {
      throw InvariantError("weights: tensor " + entry.name + " of shape " +
                           network::to_string(entry.shape) + " is missing or has another shape");
    }
    values_.narrow(0, entry.offset, network::element_count(entry.shape))
        .copy_(to_torch(found->second, values_.device()).view({-1}));
  }
}

std::string SharedWeights::layout_hash() const {
  std::string text;
  for (const Entry& entry : entries_) text += entry.name + network::to_string(entry.shape) + "\n";
  return sha256_hex(text);
}

at::Tensor TrainableSlices::value(const network::Parameter& parameter) {
  Leaf& leaf = leaves_[{parameter.name, parameter.shape}];
  if (!leaf.value.defined()) {
    leaf.parameter = parameter;
    leaf.value = weights_.slice(parameter).clone(at::MemoryFormat::Contiguous).requires_grad_(true);
  }
  return leaf.value;
}

void TrainableSlices::add_gradients() {
  for (auto& [key, leaf] : leaves_) {
    if (leaf.value.grad().defined())
      weights_.gradient_slice(leaf.parameter).add_(leaf.value.grad());
  }
}

at::Tensor FrozenSlices::value(const network::Parameter& parameter) {
  return weights_.slice(parameter).contiguous();
}

ModelParameters::ModelParameters(const network::Weights& weights, at::Device device) {
  for (const auto& [name, tensor] : weights) values_[name] = to_torch(tensor, device);
}

at::Tensor ModelParameters::value(const network::Parameter& parameter) {
  const auto found = values_.find(parameter.name);
  if (found == values_.end())
    throw InvariantError("model parameter " + parameter.name + ": there is none");
  if (found->second.sizes() != at::IntArrayRef(parameter.shape)) {
    throw InvariantError("model parameter " + parameter.name +
                         ": shape = " + network::to_string(found->second.sizes().vec()) +
                         ", expected " + network::to_string(parameter.shape));
  }
  return found->second;
}

}  // namespace lathe::supernet
