#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "network/network.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Where an executor gets the values of a node's parameters. `parameter.shape` may be a slice.
class ParameterSource {
 public:
  virtual ~ParameterSource() = default;
  virtual at::Tensor value(const network::Parameter& parameter) = 0;
};

/// The tensors that all networks of a space share, kept in one flat buffer (and one for gradients),
/// so that an optimizer step, a checkpoint and an all-reduce each touch one tensor. Values of BN
/// statistics are not among them: they are recalibrated for every network. Reading from several
/// threads is safe; changing is not.
class SharedWeights {
 public:
  struct Entry {
    std::string name;
    network::Shape shape;  ///< the largest that any network uses
    int64_t offset = 0;    ///< into the flat buffer
    bool decayed = false;  ///< a convolution or linear weight: weight decay applies
  };

  /// Makes every tensor that `networks` name, as large as the largest slice, with initial values:
  /// weights He-normal by fan-out (classifier: normal with deviation 0.01), gamma 1, biases and
  /// beta 0. Each depends only on `seed`, name and shape.
  /// `kernel_transform`: a smaller kernel is not the larger one's centre but a learned linear map
  /// of it, one for each tensor and size down to 3, shared by its channels and the identity at
  /// first (Cai et al., Once-for-All, 2020).
  SharedWeights(const std::vector<network::Network>& networks, uint64_t seed, at::Device device,
                bool kernel_transform = false);

  /// Entries in the order of the flat buffer: those with weight decay first.
  const std::vector<Entry>& entries() const { return entries_; }
  int64_t decayed_count() const { return decayed_count_; }
  at::Tensor& values() { return values_; }  ///< [parameters], float
  const at::Tensor& values() const { return values_; }
  at::Tensor& gradients() { return gradients_; }  ///< [parameters], float

  bool has(const network::Parameter& parameter) const { return by_name_.count(parameter.name) > 0; }
  /// Returns the slice of the values (or gradients) that `parameter` names, as a view: leading
  /// along channels, centred along the two kernel dimensions. \throws InvariantError naming the
  /// parameter if there is none or it is larger than the shared tensor.
  at::Tensor slice(const network::Parameter& parameter) const;
  /// The same slice of `values`, a flat tensor [parameters] in place of values().
  at::Tensor slice_of(const at::Tensor& values, const network::Parameter& parameter) const {
    return view(values, parameter);
  }
  at::Tensor gradient_slice(const network::Parameter& parameter) const;

  /// Returns what a network computes with: the slice that `stored` returns for `parameter`, or,
  /// where kernels are transformed, the map of slices and maps that it returns for others.
  at::Tensor effective(const network::Parameter& parameter,
                       const std::function<at::Tensor(const network::Parameter&)>& stored) const;

  /// Overwrites whole tensors by those of a standalone model. \throws InvariantError if one is
  /// missing.
  void load(const network::Weights& weights);

  /// Changes with the names, shapes and order of the tensors.
  std::string layout_hash() const;

 private:
  const Entry& entry(const network::Parameter& parameter) const;
  at::Tensor view(const at::Tensor& flat, const network::Parameter& parameter) const;

  std::vector<Entry> entries_;
  std::map<std::string, size_t> by_name_;
  int64_t decayed_count_ = 0;
  at::Tensor values_, gradients_;
};

/// Parameters for one forward and backward pass, from detached copies of slices: the graph's
/// leaves. Not thread-safe.
class TrainableSlices : public ParameterSource {
 public:
  explicit TrainableSlices(SharedWeights& weights) : weights_(weights) {}
  at::Tensor value(const network::Parameter& parameter) override;
  /// Adds the leaves' gradients to the shared ones. Call once, after the backward pass.
  void add_gradients();
  /// The leaves' gradients one after the other, [parameters of the network].
  at::Tensor flat_gradients() const;

 private:
  at::Tensor leaf(const network::Parameter& parameter);
  struct Leaf {
    network::Parameter parameter;
    at::Tensor value;
  };
  SharedWeights& weights_;
  std::map<std::pair<std::string, network::Shape>, Leaf> leaves_;
};

/// Contiguous copies of slices without gradients. Not thread-safe.
class FrozenSlices : public ParameterSource {
 public:
  explicit FrozenSlices(const SharedWeights& weights) : FrozenSlices(weights, weights.values()) {}
  /// Slices of `values`, a flat tensor in the layout of `weights`.
  FrozenSlices(const SharedWeights& weights, at::Tensor values)
      : weights_(weights), values_(std::move(values)) {}
  at::Tensor value(const network::Parameter& parameter) override;

 private:
  const SharedWeights& weights_;
  at::Tensor values_;
};

/// The values of a standalone model, BN statistics included. Not thread-safe.
class ModelParameters : public ParameterSource {
 public:
  ModelParameters(const network::Weights& weights, at::Device device);
  /// \throws InvariantError naming a parameter that is missing or has another shape.
  at::Tensor value(const network::Parameter& parameter) override;

 private:
  std::map<std::string, at::Tensor> values_;
};

}  // namespace lathe::supernet
