#include "supernet/evaluate/recalibration.h"

#include <algorithm>

namespace lathe::supernet {

BatchRanges::BatchRanges(int64_t all, int64_t batch)
    : count(std::max<int64_t>(1, all / batch)), images(all) {}

std::map<size_t, ChannelMoments> recalibrate(const Plan& plan, ParameterSource& parameters,
                                             const Batches& calibration, int64_t images,
                                             int64_t batch, const BatchDone& done) {
  at::NoGradGuard no_gradients;
  CollectBatchNorm policy;
  const Executor executor(plan, parameters, policy);
  const BatchRanges ranges(std::min(images, calibration.size()), batch);
  for (int64_t b = 0; b < ranges.count; ++b) {
    executor.run(calibration.range(ranges.begin(b), ranges.begin(b + 1)).images,
                 [](size_t, const at::Tensor&) {});
    done();
  }
  return policy.pooled();
}

std::vector<int64_t> count_correct(const Plan& plan, ParameterSource& parameters,
                                   BatchNormPolicy& batch_norm, const Batches& images,
                                   int64_t batch, const BatchDone& done) {
  const BatchRanges ranges(images.size(), batch);
  return count_correct(plan, parameters, batch_norm, images, ranges, {0, ranges.count}, done);
}

std::vector<int64_t> count_correct(const Plan& plan, ParameterSource& parameters,
                                   BatchNormPolicy& batch_norm, const Batches& images,
                                   const BatchRanges& ranges, const BatchSpan& span,
                                   const BatchDone& done) {
  at::NoGradGuard no_gradients;
  const Executor executor(plan, parameters, batch_norm);
  std::vector<int64_t> correct(plan.results.size(), 0);
  for (int64_t b = span.begin; b < span.end; ++b) {
    const Batch part = images.range(ranges.begin(b), ranges.begin(b + 1));
    executor.run(part.images, [&](size_t network, const at::Tensor& logits) {
      correct[network] += logits.argmax(1).eq(part.labels).sum().item<int64_t>();
    });
    done();
  }
  return correct;
}

}  // namespace lathe::supernet
