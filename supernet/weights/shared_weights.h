#pragma once

#include <cstdint>
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
  SharedWeights(const std::vector<network::Network>& networks, uint64_t seed, at::Device device);

  /// Entries in the order of the flat buffer: those with weight decay first.
  const std::vector<Entry>& entries() const { return entries_; }
  int64_t decayed_count() const { return decayed_count_; }
  at::Tensor& values() { return values_; }        ///< [parameters], float
  at::Tensor& gradients() { return gradients_; }  ///< [parameters], float

  /// Returns the slice of the values (or gradients) that `parameter` names, as a view: leading
  /// along channels, centred along the two kernel dimensions. \throws InvariantError naming the
  /// parameter if there is none or it is larger than the shared tensor.
  at::Tensor slice(const network::Parameter& parameter) const;
  at::Tensor gradient_slice(const network::Parameter& parameter) const;

  /// Overwrites whole tensors by those of a standalone model. \throws InvariantError if one is
  /// missing.
  void load(const network::Weights& weights);

  /// Changes with the names, shapes and order of the tensors.
  std::string layout_hash() const;

 private:
  at::Tensor view(const at::Tensor& flat, const network::Parameter& parameter) const;

  std::vector<Entry> entries_;
  std::map<std::string, size_t> by_name_;
  int64_t decayed_count_ = 0;
  at::Tensor values_, gradients_;
};

/// Detached copies of slices for one forward and backward pass: leaves of the graph. Not
/// thread-safe.
class TrainableSlices : public ParameterSource {
 public:
  explicit TrainableSlices(SharedWeights& weights) : weights_(weights) {}
  at::Tensor value(const network::Parameter& parameter) override;
  /// Adds the leaves' gradients to the shared ones. Call once, after the backward pass.
  void add_gradients();

 private:
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
  explicit FrozenSlices(const SharedWeights& weights) : weights_(weights) {}
  at::Tensor value(const network::Parameter& parameter) override;

 private:
  const SharedWeights& weights_;
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
