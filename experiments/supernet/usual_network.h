#pragma once

#include <map>
#include <string>
#include <vector>

#include "network/network.h"
#include "supernet/torch_headers.h"

namespace lathe::study {

/// A weight-sharing network as published supernets write it: images row-major (NCHW), one LibTorch
/// operator a layer, parameters whole tensors of which a layer takes a slice, batch norm with
/// running statistics, activations apart. What the studies hold lathe's executor against.
class UsualSupernet {
 public:
  /// With every tensor that `networks` name, as large as the largest slice, random by `seed`.
  UsualSupernet(const std::vector<network::Network>& networks, uint64_t seed);

  /// Logits [N, classes]. `training`: batch norm by the batch, its running statistics updated with
  /// `momentum` (0: their plain mean so far).
  at::Tensor forward(const network::Network& network, const at::Tensor& images, bool training,
                     double momentum = 0.1);
  /// Forgets the running statistics.
  void reset_statistics();

  /// SGD with Nesterov momentum 0.9 and weight decay on the gradients that backward passes left.
  void step(double learning_rate);

 private:
  struct Statistics {
    at::Tensor mean, variance;
    int64_t batches = 0;
  };
  at::Tensor slice(const network::Parameter& parameter) const;
  at::Tensor run(const network::Node& node, const std::vector<at::Tensor>& inputs, bool training,
                 double momentum);

  std::map<std::string, at::Tensor> parameters_;
  std::map<std::string, at::Tensor> velocities_;
  std::map<std::string, Statistics> statistics_;  ///< by batch norm's gamma
};

}  // namespace lathe::study
