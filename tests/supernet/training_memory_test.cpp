#include "supernet/training_memory.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

/// 8 x 8 images; convolution and BN to 4 channels, relu inside; mean; ten classes.
std::unique_ptr<search::SearchSpace> small_space() {
  return search::read_search_space_text(
      "{name: s, input: {channels: 2, resolution: 8}, classes: 10, stem: {width: 8}, stages: "
      "[{block: conv, depth: 1, width: 8, kernel: 3}]}",
      "test");
}

}  // namespace

TEST_CASE("Training memory is counted from the largest network and the shared tensors") {
  TrainOptions options;
  options.batch = 100;
  const TrainingMemory memory = estimate_training_memory(*small_space(), options, 1000);
  CHECK(memory.images == 1000 * 2 * 64);
  // stem 2*8*9 + block 8*8*9 + two BN of 2*8 + classifier 8*10 + 10 values, five times.
  CHECK(memory.weights == 5 * 4 * (144 + 576 + 32 + 90));
  // Input 128, four outputs of 8 x 8 x 8, mean 8, flattened 8, logits 10.
  CHECK(memory.activations == static_cast<int64_t>(1.25 * 100 * 4 * (128 + 4 * 512 + 8 + 8 + 10)));
  options.ema = 0.99;
  options.sampler.name = "progressive";
  CHECK(estimate_training_memory(*small_space(), options, 0).weights == 8 * 4 * 842);
}

TEST_CASE("Too little memory is refused with the batch that fits") {
  TrainOptions options;
  options.batch = 128;
  TrainingMemory need;
  need.program = 300'000'000;
  need.activations = 1'280'000'000;
  check_training_memory(need, options, 1'580'000'000);
  CHECK(test::message_of<ConfigError>([&] { check_training_memory(need, options, 800'000'000); }) ==
        "training needs about 1580 MB (1280 MB for the activations of a batch of 128), 800 MB are "
        "available; lower supernet.batch to 50 or less");
  CHECK(test::message_of<ConfigError>([&] { check_training_memory(need, options, 310'000'000); }) ==
        "training needs about 1580 MB (1280 MB for the activations of a batch of 128), 310 MB are "
        "available; choose a smaller space or a machine with more memory");
}
