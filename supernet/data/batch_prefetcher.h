#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/rng.h"
#include "supernet/data/batches.h"
#include "supernet/data/prefetcher.h"

namespace lathe::supernet {

/// Which images make up the batch of one step, and the stream from which they are augmented.
struct BatchRequest {
  std::vector<int64_t> indices;
  Rng rng;
};

/// Says what a step trains on, and depends on nothing but the step. Called on another thread than
/// the trainer's, so it holds copies of what it needs and no references into the trainer.
using BatchOrder = std::function<BatchRequest(int64_t step)>;

/// The usual order: every epoch is another permutation of all images, cut into batches of one
/// size; what is left over at its end is not used in that epoch. Permutations come from
/// rng.derive("order", epoch), augmentation from rng.derive("augment", step). Not thread-safe.
class ShuffledOrder {
 public:
  /// \throws InvariantError unless 1 <= batch <= images.
  ShuffledOrder(Rng rng, int64_t images, int64_t batch);

  BatchRequest operator()(int64_t step);

 private:
  Rng rng_;
  int64_t images_, batch_;
  int64_t epoch_ = -1;  ///< of order_
  std::vector<int64_t> order_;
};

/// Prepares the augmented batches of the next steps on a thread of its own:
///
///   BatchPrefetcher batches(images, augmentation, {});
///   batches.start(step, total_steps, ShuffledOrder(rng, images.size(), batch_size));
///   while (step < total_steps) train_on(batches.next()), ++step;
///
/// Every batch equals images.augmented(request.indices, augmentation, request.rng) bit for bit,
/// whatever the depth and the threads. Use it from one thread.
class BatchPrefetcher {
 public:
  struct Options {
    size_t depth = 2;  ///< batches that wait at most; 0: made in next(), without a thread
    int threads = 1;   ///< of the preparation, beside those of training
  };

  /// `images` must outlive it.
  BatchPrefetcher(const Batches& images, Augmentation augmentation, Options options);

  /// Begins at `step`; after a resume or a roll-back it is called again, with the order that is
  /// then valid.
  void start(int64_t step, int64_t end, BatchOrder order);
  /// Returns the batch of the next step. \throws what making it threw; InvariantError past the end.
  Batch next() { return batches_.next(); }
  int64_t next_step() const { return batches_.next_step(); }
  void stop() { batches_.stop(); }

 private:
  const Batches& images_;
  Augmentation augmentation_;
  Options options_;
  Prefetcher<Batch> batches_;
};

}  // namespace lathe::supernet
