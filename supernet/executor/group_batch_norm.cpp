#include "supernet/executor/group_batch_norm.h"

#include <algorithm>

namespace lathe::supernet {
namespace {

/// A sum over all processes as a differentiable operation: its gradient is the sum of what every
/// process's loss says of it.
class SumOverGroup : public torch::autograd::Function<SumOverGroup> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            Communicator* group) {
    context->saved_data["group"] = reinterpret_cast<int64_t>(group);
    at::Tensor sum = x.clone();
    group->all_reduce_sum(sum, "the moments of a batch norm");
    return sum;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto* group = reinterpret_cast<Communicator*>(context->saved_data["group"].toInt());
    at::Tensor sum = gradients[0].clone(at::MemoryFormat::Contiguous);
    group->all_reduce_sum(sum, "the gradients of a batch norm");
    return {sum, at::Tensor()};
  }
};

}  // namespace

GroupMoments pooled_over(Communicator* group, GroupMoments own) {
  if (group == nullptr || group->alone()) return own;
  const size_t channels = own.mean.size();
  std::vector<double> sums;
  sums.reserve(2 * channels + 1);
  for (size_t c = 0; c < channels; ++c) {
    const double mean = own.mean[c];
    sums.push_back(own.count * mean);
    sums.push_back(own.count * (own.variance[c] + mean * mean));
  }
  sums.push_back(own.count);
  sums = group->sum(sums, "the moments of a batch norm");
  GroupMoments all = std::move(own);
  all.count = sums.back();
  for (size_t c = 0; c < channels; ++c) {
    const double mean = sums[2 * c] / all.count;
    all.mean[c] = mean;
    all.variance[c] = std::max(0.0, sums[2 * c + 1] / all.count - mean * mean);
  }
  return all;
}

GradientSums pooled_over(Communicator* group, GradientSums own) {
  if (group == nullptr || group->alone()) return own;
  const auto channels = static_cast<std::ptrdiff_t>(own.plain.size());
  std::vector<double> both = std::move(own.plain);
  both.insert(both.end(), own.product.begin(), own.product.end());
  both = group->sum(both, "the gradients of a batch norm");
  return {{both.begin(), both.begin() + channels}, {both.begin() + channels, both.end()}};
}

at::Tensor group_batch_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                            double epsilon, Communicator& group) {
  const std::vector<int64_t> dims = all_but_channels(x);
  const double own_count = static_cast<double>(x.numel() / x.size(1));
  const double count = group.sum({own_count}, "the size of a batch")[0];
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[1] = x.size(1);
  // The mean first, so that the variance is one of differences.
  const at::Tensor mean = SumOverGroup::apply(x.sum(dims), &group) / count;
  const at::Tensor centred = x - mean.view(shape);
  const at::Tensor variance = SumOverGroup::apply(at::square(centred).sum(dims), &group) / count;
  const at::Tensor scale = gamma * at::rsqrt(variance + epsilon);
  return centred * scale.view(shape) + beta.view(shape);
}

std::vector<int64_t> all_but_channels(const at::Tensor& x) {
  std::vector<int64_t> dims = {0};
  for (int64_t d = 2; d < x.dim(); ++d) dims.push_back(d);
  return dims;
}

}  // namespace lathe::supernet
