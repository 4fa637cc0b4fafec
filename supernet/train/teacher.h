#pragma once

#include <memory>
#include <vector>

#include "supernet/executor/executor.h"

namespace lathe::supernet {

/// A network that answers and does not learn, or none. Not thread-safe.
class Teacher {
 public:
  Teacher() = default;
  /// A trained model with BN statistics of its own. `also`: nodes whose values are wanted besides.
  Teacher(const network::Model& model, at::Device device,
          const std::vector<network::NodeId>& also = {});
  /// `network` with its slices of `values` (in the layout of `weights`), every batch norm by its
  /// batch: a network in training. `group`: those who each have a part of the batch. `weights` and
  /// `group` must outlive the teacher.
  Teacher(const network::Network& network, const SharedWeights& weights, const at::Tensor& values,
          Communicator* group = nullptr);

  bool exists() const { return parts_ != nullptr; }
  /// Logits [N, classes] of `images`, without gradients. \throws InvariantError if there is none.
  at::Tensor logits(const at::Tensor& images) const;
  /// The logits, then the values of `also`, as logits() gives them.
  std::vector<at::Tensor> outputs(const at::Tensor& images) const;

 private:
  struct Parts {
    Plan plan;
    std::unique_ptr<BatchNormPolicy> policy;
    std::unique_ptr<Executor> executor;
  };
  std::shared_ptr<Parts> parts_;
};

}  // namespace lathe::supernet
