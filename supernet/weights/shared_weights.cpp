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

constexpr int64_t kSmallestTransformed = 3;

/// The map from a tensor's kernels to those of `size`, [size^2, size^2].
network::Parameter transform(const std::string& name, int64_t size) {
  return {name + ".to" + std::to_string(size), {size * size, size * size}};
}

/// Learned parameters come first in a node's list; the two statistics of BN follow.
size_t learned_parameters(const network::Node& node) {
  return std::holds_alternative<network::BatchNorm>(node.op) ? 2 : node.parameters.size();
}

void fill(float* values, const SharedWeights::Entry& entry, bool is_gamma, const Rng& root) {
  const auto count = network::element_count(entry.shape);
  if (!entry.decayed && entry.shape.size() == 2) {  // a kernel transform
    std::fill(values, values + count, 0.0F);
    for (int64_t i = 0; i < entry.shape[0]; ++i) values[i * entry.shape[0] + i] = 1.0F;
    return;
  }
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
                             at::Device device, bool kernel_transform) {
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
  std::vector<Entry> transforms;
  for (const auto& [name, entry] : found) {
    if (!kernel_transform || !entry.decayed || entry.shape.size() != 4) continue;
    for (int64_t size = entry.shape[2] - 2; size >= kSmallestTransformed; size -= 2) {
      const network::Parameter map = transform(name, size);
      transforms.push_back({map.name, map.shape, 0, false});
    }
  }
  for (const Entry& map : transforms) found.emplace(map.name, map);
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

const SharedWeights::Entry& SharedWeights::entry(const network::Parameter& parameter) const {
  const auto found = by_name_.find(parameter.name);
  if (found == by_name_.end())
    throw InvariantError("shared tensor " + parameter.name + ": there is none");
  return entries_[found->second];
}

at::Tensor SharedWeights::view(const at::Tensor& flat, const network::Parameter& parameter) const {
  const Entry& entry = this->entry(parameter);
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

at::Tensor SharedWeights::effective(
    const network::Parameter& parameter,
    const std::function<at::Tensor(const network::Parameter&)>& stored) const {
  const network::Shape& full = entry(parameter).shape;
  const bool smaller = full.size() == 4 && parameter.shape.size() == 4 &&
                       parameter.shape[2] < full[2] &&
                       by_name_.count(transform(parameter.name, full[2] - 2).name) > 0;
  if (!smaller) return stored(parameter);
  const int64_t out = parameter.shape[0];
  const int64_t in = parameter.shape[1];
  int64_t size = full[2];
  at::Tensor kernels = stored({parameter.name, {out, in, size, size}});
  while (size > std::max(parameter.shape[2], kSmallestTransformed)) {
    size -= 2;
    const at::Tensor centre =
        kernels.narrow(2, 1, size).narrow(3, 1, size).reshape({out * in, size * size});
    kernels =
        centre.matmul(stored(transform(parameter.name, size)).t()).view({out, in, size, size});
  }
  const int64_t margin = (size - parameter.shape[2]) / 2;
  return kernels.narrow(2, margin, parameter.shape[2]).narrow(3, margin, parameter.shape[3]);
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
  return weights_.effective(parameter, [this](const auto& stored) { return leaf(stored); });
}

at::Tensor TrainableSlices::leaf(const network::Parameter& parameter) {
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

at::Tensor TrainableSlices::flat_gradients() const {
  std::vector<at::Tensor> parts;
  for (const auto& [key, leaf] : leaves_) {
    if (leaf.value.grad().defined()) parts.push_back(leaf.value.grad().flatten());
  }
  return at::cat(parts);
}

at::Tensor FrozenSlices::value(const network::Parameter& parameter) {
  at::NoGradGuard no_gradients;
  return weights_
      .effective(parameter,
                 [this](const auto& stored) { return weights_.slice_of(values_, stored); })
      .contiguous();
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
