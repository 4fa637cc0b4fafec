#include "supernet/data/batch_prefetcher.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

Batches small_batches() {
  const ImageShape shape{3, 8, 8};
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  Rng rng(4);
  for (int64_t i = 0; i < 20 * shape.size(); ++i) {
    pixels.push_back(static_cast<uint8_t>(rng.integer(0, 255)));
  }
  for (int64_t i = 0; i < 20; ++i) labels.push_back(i % 3);
  DatasetInfo info;
  info.mean = {0.5, 0.4, 0.3};
  info.standard_deviation = {0.25, 0.2, 0.3};
  return {ImageSet(shape, std::move(pixels), std::move(labels)), info, at::kCPU};
}

}  // namespace

TEST_CASE("ShuffledOrder goes through all images in every epoch, in another order") {
  ShuffledOrder order(Rng(3), 20, 6);
  std::set<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<int64_t> all;
    for (int64_t s = 0; s < 3; ++s) {
      const BatchRequest request = order(epoch * 3 + s);
      CHECK(request.indices.size() == 6);
      all.insert(all.end(), request.indices.begin(), request.indices.end());
    }
    CHECK(std::set<int64_t>(all.begin(), all.end()).size() == 18);
    CHECK(*std::max_element(all.begin(), all.end()) < 20);
    epochs.insert(all);
  }
  CHECK(epochs.size() == 4);
  ShuffledOrder again(Rng(3), 20, 6);
  CHECK(again(7).indices == order(7).indices);
  CHECK(again(2).rng.seed() == Rng(3).derive("augment", 2).seed());
  CHECK(test::message_of<InvariantError>([] { ShuffledOrder(Rng(3), 20, 21); }) ==
        "ShuffledOrder: batch = 21, expected 1 to 20, the number of images");
}

TEST_CASE("Prefetched batches are bit for bit those made on the spot, from any step on") {
  const Batches images = small_batches();
  const Augmentation augmentation{1, true};
  const BatchOrder order = ShuffledOrder(Rng(9), images.size(), 6);
  const int threads_before = at::get_num_threads();
  for (const BatchPrefetcher::Options& options :
       {BatchPrefetcher::Options{0, 1}, {1, 1}, {2, 2}, {5, 4}}) {
    BatchPrefetcher prefetcher(images, augmentation, options);
    for (const int64_t first : {0, 4}) {
      prefetcher.start(first, 12, order);
      BatchOrder expected_order = ShuffledOrder(Rng(9), images.size(), 6);
      for (int64_t step = first; step < 12; ++step) {
        const BatchRequest request = expected_order(step);
        const Batch expected = images.augmented(request.indices, augmentation, request.rng);
        const Batch got = prefetcher.next();
        CHECK(got.images.equal(expected.images));
        CHECK(got.labels.equal(expected.labels));
      }
    }
  }
  CHECK(at::get_num_threads() == threads_before);
}
