#pragma once

#include <optional>
#include <vector>

#include "network/network.h"
#include "supernet/distributed/communicator.h"
#include "supernet/executor/kernels/channel_kernels.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Mean and biased variance of every channel, [C], and over how many values each was taken.
struct ChannelMoments {
  at::Tensor mean;
  at::Tensor variance;
  int64_t count = 0;
};

/// Sums moments of batches into exact pooled ones: the variance counts the spread between the
/// batches' means too (the mean of the batches' variances does not). Not thread-safe.
class PooledMoments {
 public:
  void add(const ChannelMoments& batch);
  /// \throws InvariantError if nothing was added.
  ChannelMoments pooled() const;

 private:
  at::Tensor mean_, second_;  ///< sums of count * mean and count * (variance + mean^2), in double
  int64_t count_ = 0;
};

/// Normalises by the batch's own statistics, then activates. Differentiable in x, gamma and beta.
/// x: [N, C, H, W] (channels_last is fastest) or [N, C]. `group`: the processes of which each has a
/// part of the batch, of any size; all normalise by the whole batch's statistics. The gradients of
/// gamma and beta are this part's share: those of all processes add up to the whole batch's.
at::Tensor batch_norm_train(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                            double epsilon, network::ActivationKind activation,
                            Communicator* group = nullptr);

/// Mean and biased variance of every channel of x; no gradients.
ChannelMoments batch_moments(const at::Tensor& x);

/// Normalises by the given statistics, then activates; no gradients. `in_place`: x may be
/// overwritten.
at::Tensor batch_norm_given(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                            const at::Tensor& mean, const at::Tensor& variance, double epsilon,
                            network::ActivationKind activation, bool in_place);

/// Batch norm by given statistics and its activation as one map of every channel: activation(x *
/// scale + shift).
struct BatchNormMap {
  std::vector<double> scale, shift;
  ActivationBounds act;
};

/// The map that batch_norm_given applies; nullopt for an activation that the kernels do not know.
std::optional<BatchNormMap> batch_norm_map(const at::Tensor& gamma, const at::Tensor& beta,
                                           const at::Tensor& mean, const at::Tensor& variance,
                                           double epsilon, network::ActivationKind activation);

/// Applies the activation as LibTorch operators (differentiable).
at::Tensor activate(const at::Tensor& x, network::ActivationKind activation);

/// Whether our own kernels run on x: on the CPU, in floats or doubles.
bool has_kernels(const at::Tensor& x);

/// Returns x with channels innermost in memory ([N, C, H, W] channels_last; [N, C] row-major),
/// copying only if it is laid out otherwise. With one channel or one pixel both formats have the
/// same strides; then nothing is copied.
at::Tensor channels_innermost(const at::Tensor& x);

}  // namespace lathe::supernet
