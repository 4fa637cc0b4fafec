#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/progress.h"
#include "search/evaluation/evaluators.h"
#include "supernet/data/batches.h"
#include "supernet/evaluate/concurrent_batches.h"
#include "supernet/executor/executor.h"

namespace lathe::supernet {

/// The images of a pass in equal batches of about `batch` images, the same at every call.
struct BatchRanges {
  BatchRanges(int64_t images, int64_t batch);
  int64_t count = 0;  ///< of batches
  int64_t images = 0;
  int64_t begin(int64_t index) const { return images * index / count; }
  int64_t largest() const { return (images + count - 1) / count; }
};

/// Runs the first `images` calibration images through the plan, every batch norm normalising by its
/// batch, and returns the exact pooled moments of every batch norm step. Deterministic; a step's
/// moments do not depend on the other networks of the plan. `memory_bytes` bounds the activations
/// of batches that run at the same time (one runs always).
std::map<size_t, ChannelMoments> recalibrate(const Plan& plan, ParameterSource& parameters,
                                             const Batches& calibration, int64_t images,
                                             int64_t batch, int64_t memory_bytes,
                                             const BatchDone& done);

/// Returns how many images of the batches `span` each network of the plan classifies correctly.
/// `batch_norm` is used by several threads at once. `memory_bytes` as above.
std::vector<int64_t> count_correct(const Plan& plan, ParameterSource& parameters,
                                   BatchNormPolicy& batch_norm, const Batches& images,
                                   const BatchRanges& ranges, const BatchSpan& span,
                                   int64_t memory_bytes, const BatchDone& done);

}  // namespace lathe::supernet
