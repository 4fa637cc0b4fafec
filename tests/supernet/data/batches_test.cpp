#include <doctest/doctest.h>

#include <algorithm>

#include "core/error.h"
#include "supernet/data/batches.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

/// Two images of 3 x 4 whose bytes count up from 10 and from 100.
ImageSet counting_images() {
  std::vector<uint8_t> pixels;
  for (const int first : {10, 100}) {
    for (int p = 0; p < 12; ++p) pixels.push_back(static_cast<uint8_t>(first + p));
  }
  return {{1, 3, 4}, std::move(pixels), {3, 8}};
}

/// mean 0 and deviation 1/255: normalised values are the bytes themselves.
DatasetInfo unscaled() {
  DatasetInfo info;
  info.mean = {0.0};
  info.standard_deviation = {1.0 / 255.0};
  return info;
}

std::vector<float> values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

}  // namespace

TEST_CASE("Batches::at normalises and keeps the order of the indices") {
  DatasetInfo info;
  info.mean = {0.5};
  info.standard_deviation = {0.25};
  const Batches batches(counting_images(), info, at::kCPU);
  const Batch batch = batches.at({1, 0});
  CHECK(batch.images.sizes() == at::IntArrayRef({2, 1, 3, 4}));
  CHECK(batch.images[0][0][0][0].item<float>() == doctest::Approx((100.0 / 255.0 - 0.5) / 0.25));
  CHECK(batch.images[1][0][2][3].item<float>() == doctest::Approx((21.0 / 255.0 - 0.5) / 0.25));
  CHECK(batch.labels[0].item<int64_t>() == 8);
  CHECK(batches.range(1, 2).images.equal(batch.images.narrow(0, 0, 1)));
}

TEST_CASE("Batches::augmented only shifts, mirrored at the edges, and turns around") {
  const Batches batches(counting_images(), unscaled(), at::kCPU);
  const Augmentation augmentation{1, true};
  std::vector<bool> seen(18, false);  // 3 x 3 shifts, mirrored or not
  for (uint64_t draw = 0; draw < 200; ++draw) {
    const std::vector<float> got = values(batches.augmented({0}, augmentation, Rng(draw)).images);
    bool explained = false;
    for (int variant = 0; variant < 18 && !explained; ++variant) {
      const int dy = variant / 6 - 1;
      const int dx = variant / 2 % 3 - 1;
      std::vector<float> expected;
      for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 4; ++x) {
          // By at most one pixel, beyond which the edge's own stands again.
          const int from_x = std::clamp((variant % 2 == 0 ? x : 3 - x) + dx, 0, 3);
          const int from_y = std::clamp(y + dy, 0, 2);
          expected.push_back(static_cast<float>(10 + 4 * from_y + from_x));
        }
      }
      explained = got == expected;
      if (explained) seen[static_cast<size_t>(variant)] = true;
    }
    CHECK(explained);
  }
  CHECK(std::count(seen.begin(), seen.end(), true) == 18);
  CHECK(batches.augmented({0, 1}, augmentation, Rng(5))
            .images.equal(batches.augmented({0, 1}, augmentation, Rng(5)).images));
}

TEST_CASE("Augmented batches do not depend on the number of threads") {
  const ImageShape shape{3, 16, 16};
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  Rng rng(4);
  for (int64_t i = 0; i < 70 * shape.size(); ++i)
    pixels.push_back(static_cast<uint8_t>(rng.below(256)));
  for (int64_t i = 0; i < 70; ++i) labels.push_back(i);
  DatasetInfo info;
  info.mean = {0.5, 0.4, 0.3};
  info.standard_deviation = {0.25, 0.2, 0.3};
  const Batches batches({shape, std::move(pixels), labels}, info, at::kCPU);
  Augmentation augmentation;
  augmentation.resized_crop = 0.3;
  augmentation.flip = true;
  augmentation.operations = 2;
  augmentation.cutout = 4;
  augmentation.mixup = 0.4;
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Batch one = batches.augmented(labels, augmentation, Rng(7));
  at::set_num_threads(4);
  const Batch four = batches.augmented(labels, augmentation, Rng(7));
  at::set_num_threads(before);
  CHECK(one.images.equal(four.images));
  CHECK(one.labels.equal(four.labels));
  CHECK(one.mixed_labels.equal(four.mixed_labels));
  CHECK(one.mix == four.mix);
}

TEST_CASE("Mixed batches are weighted sums of two images, with both labels") {
  const Batches batches(counting_images(), unscaled(), at::kCPU);
  CHECK(batches.at({0, 1}).mix == 1.0);
  CHECK(batches.at({0, 1}).mixed_labels.equal(batches.at({0, 1}).labels));
  Augmentation augmentation;
  augmentation.mixup = 1.0;
  bool seen_mixed = false;
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Batch batch = batches.augmented({0, 1}, augmentation, Rng(draw));
    const float first = batch.images[0][0][0][0].item<float>();
    const bool swapped = batch.mixed_labels[0].item<int64_t>() == 8;
    CHECK(batch.labels[0].item<int64_t>() == 3);
    CHECK(batch.mixed_labels[1].item<int64_t>() == (swapped ? 3 : 8));
    CHECK(first == doctest::Approx(swapped ? 10 * batch.mix + 100 * (1 - batch.mix) : 10.0));
    seen_mixed = seen_mixed || (swapped && batch.mix > 0.01 && batch.mix < 0.99);
  }
  CHECK(seen_mixed);
}

TEST_CASE("resized is bilinear with half-pixel centres and no antialias") {
  const at::Tensor row = at::tensor({0.0F, 4.0F, 8.0F, 12.0F}).view({1, 1, 1, 4});
  CHECK(values(resized(row, 1, 2)) == std::vector<float>({2.0F, 10.0F}));
  CHECK(values(resized(row, 1, 8)) == std::vector<float>({0, 1, 3, 5, 7, 9, 11, 12}));
  CHECK(resized(row, 1, 4).is_same(row));
}

TEST_CASE("to_torch and to_network copy row-major values") {
  const network::Tensor tensor{{1, 2, 1, 2}, {1, 2, 3, 4}};
  const at::Tensor copied = to_torch(tensor, at::kCPU);
  CHECK(copied[0][1][0][0].item<float>() == 3.0F);
  const network::Tensor back = to_network(copied.contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(back.values == tensor.values);
  CHECK(back.shape == tensor.shape);
}
