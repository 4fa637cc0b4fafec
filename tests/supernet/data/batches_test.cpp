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
  ImageSet set;
  set.count = 2;
  set.channels = 1;
  set.height = 3;
  set.width = 4;
  for (const int first : {10, 100}) {
    for (int p = 0; p < 12; ++p) set.pixels.push_back(static_cast<uint8_t>(first + p));
  }
  set.labels = {3, 8};
  return set;
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

TEST_CASE("Batches::augmented only shifts, pads with black and mirrors") {
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
          const int from_x = (variant % 2 == 0 ? x : 3 - x) + dx;
          const int from_y = y + dy;
          const bool inside = from_y >= 0 && from_y < 3 && from_x >= 0 && from_x < 4;
          expected.push_back(inside ? static_cast<float>(10 + 4 * from_y + from_x) : 0.0F);
        }
      }
      explained = got == expected;
      if (explained) seen[static_cast<size_t>(variant)] = true;
    }
    CHECK(explained);
  }
  CHECK(std::count(seen.begin(), seen.end(), true) == 18);
  CHECK(batches.augmented({0, 1}, augmentation, Rng(5)).images.equal(
      batches.augmented({0, 1}, augmentation, Rng(5)).images));
}

TEST_CASE("read_augmentation knows crop and flip") {
  CHECK(read_augmentation({"crop", "flip"}, 32).crop_padding == 4);
  CHECK(read_augmentation({"crop", "flip"}, 32).flip);
  CHECK(read_augmentation({}, 32).crop_padding == 0);
  CHECK(test::message_of<ConfigError>([] { read_augmentation({"cutmix"}, 32); }) ==
        "/data/augmentation = cutmix, expected crop or flip");
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
