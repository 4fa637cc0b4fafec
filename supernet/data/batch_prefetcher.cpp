#include "supernet/data/batch_prefetcher.h"

#include <omp.h>

#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "core/error.h"

namespace lathe::supernet {
namespace {

/// Sets how many threads LibTorch uses when called from this thread. Not at::set_num_threads(),
/// which would also change what threads that start later begin with.
void use_threads(int threads) {
  at::get_num_threads();  // sets the thread up, which would otherwise undo the next line later
  omp_set_num_threads(threads);
}

}  // namespace

ShuffledOrder::ShuffledOrder(Rng rng, int64_t images, int64_t batch)
    : rng_(std::move(rng)), images_(images), batch_(batch) {
  if (batch < 1 || batch > images) {
    throw InvariantError("ShuffledOrder: batch = " + std::to_string(batch) + ", expected 1 to " +
                         std::to_string(images) + ", the number of images");
  }
}

BatchRequest ShuffledOrder::operator()(int64_t step) {
  const int64_t per_epoch = images_ / batch_;
  const int64_t epoch = step / per_epoch;
  if (epoch != epoch_) {
    order_.resize(static_cast<size_t>(images_));
    std::iota(order_.begin(), order_.end(), int64_t{0});
    Rng shuffle = rng_.derive("order", static_cast<uint64_t>(epoch));
    shuffle.shuffle(order_);
    epoch_ = epoch;
  }
  const auto begin = order_.begin() + (step % per_epoch) * batch_;
  return {{begin, begin + batch_}, rng_.derive("augment", static_cast<uint64_t>(step))};
}

BatchPrefetcher::BatchPrefetcher(const Batches& images, Augmentation augmentation, Options options)
    : images_(images),
      augmentation_(std::move(augmentation)),
      options_(options),
      batches_(options.depth) {}

void BatchPrefetcher::start(int64_t step, int64_t end, BatchOrder order) {
  const bool own_thread = options_.depth > 0;
  batches_.start(step, end, [this, own_thread, order = std::move(order)](int64_t at) {
    if (own_thread) use_threads(options_.threads);
    const BatchRequest request = order(at);
    return images_.augmented(request.indices, augmentation_, request.rng);
  });
}

}  // namespace lathe::supernet
