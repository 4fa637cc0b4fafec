#include "supernet/evaluate/recalibration.h"

#include <algorithm>

namespace lathe::supernet {

BatchRanges::BatchRanges(int64_t all, int64_t batch)
    : count(std::max<int64_t>(1, all / batch)), images(all) {}

std::map<size_t, ChannelMoments> recalibrate(const Plan& plan, ParameterSource& parameters,
                                             const Batches& calibration, int64_t images,
                                             int64_t batch, int64_t memory_bytes,
                                             const BatchDone& done) {
  const at::NoGradGuard no_gradients;
  const BatchRanges ranges(std::min(images, calibration.size()), batch);
  const ConcurrentBatches batches({0, ranges.count}, plan.peak_bytes(ranges.largest()),
                                  memory_bytes, calibration.device());
  const auto workers = static_cast<size_t>(batches.workers());
  std::vector<CollectBatchNorm> policies(workers);
  std::vector<Executor> executors;
  executors.reserve(workers);
  for (CollectBatchNorm& policy : policies) executors.emplace_back(plan, parameters, policy);
  std::vector<std::map<size_t, ChannelMoments>> moments(static_cast<size_t>(ranges.count));
  batches.run(done, [&](int worker, int64_t b) {
    const auto w = static_cast<size_t>(worker);
    executors[w].run(calibration.range(ranges.begin(b), ranges.begin(b + 1)).images,
                     [](size_t, const at::Tensor&) {});
    moments[static_cast<size_t>(b)] = policies[w].take();
  });
  std::map<size_t, PooledMoments> pools;
  for (const auto& of_batch : moments) {
    for (const auto& [step, of_step] : of_batch) pools[step].add(of_step);
  }
  std::map<size_t, ChannelMoments> pooled;
  for (const auto& [step, pool] : pools) pooled[step] = pool.pooled();
  return pooled;
}

std::vector<int64_t> count_correct(const Plan& plan, ParameterSource& parameters,
                                   BatchNormPolicy& batch_norm, const Batches& images,
                                   const BatchRanges& ranges, const BatchSpan& span,
                                   int64_t memory_bytes, const BatchDone& done) {
  const at::NoGradGuard no_gradients;
  const Executor executor(plan, parameters, batch_norm);
  const ConcurrentBatches batches(span, plan.peak_bytes(ranges.largest()), memory_bytes,
                                  images.device());
  std::vector<std::vector<int64_t>> counts(static_cast<size_t>(batches.workers()),
                                           std::vector<int64_t>(plan.results.size(), 0));
  batches.run(done, [&](int worker, int64_t b) {
    const Batch part = images.range(ranges.begin(b), ranges.begin(b + 1));
    executor.run(part.images, [&](size_t network, const at::Tensor& logits) {
      counts[static_cast<size_t>(worker)][network] +=
          logits.argmax(1).eq(part.labels).sum().item<int64_t>();
    });
  });
  std::vector<int64_t> correct(plan.results.size(), 0);
  for (const std::vector<int64_t>& of_worker : counts) {
    for (size_t n = 0; n < correct.size(); ++n) correct[n] += of_worker[n];
  }
  return correct;
}

}  // namespace lathe::supernet
