#include "supernet/data/augmenter.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "supernet/supernet.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

constexpr ImageShape kShape{3, 16, 16};

Augmentation everything() {
  Augmentation augmentation;
  augmentation.crop_padding = 2;
  augmentation.flip = true;
  augmentation.operations = 3;
  augmentation.magnitude = 12.0;
  augmentation.cutout = 5;
  return augmentation;
}

Augmentation read(const std::string& text) {
  const ConfigDocument document = ConfigDocument::read_text("data: " + text, "c.yaml");
  const DataOptions options = read_data_options(document.root().section("data"));
  document.throw_if_faults();
  return options.augmentation;
}

std::string fault(const std::string& text) {
  return test::message_of<ConfigError>([&] { read(text); });
}

}  // namespace

TEST_CASE("Augmentations are read as names or with settings") {
  CHECK(to_string(read("{}")) == "crop flip ");
  CHECK(to_string(read("{augmentation: []}")).empty());
  CHECK(to_string(read("{augmentation: [flip, crop]}")) == "crop flip ");
  CHECK(to_string(read("{augmentation: [resized_crop, flip, randaugment, cutout], mixup: 0.2}")) ==
        "flip resized_crop=0.080000000000000002 randaugment=2 magnitude=9 cutout "
        "mixup=0.20000000000000001 ");
  CHECK(to_string(read("{augmentation: {crop: 4, flip: true, randaugment: {operations: 1, "
                       "magnitude: 14}, cutout: 8}}")) ==
        "crop=4 flip randaugment=1 magnitude=14 cutout=8 ");
  CHECK(to_string(read("{augmentation: {randaugment: {}}}")) == "randaugment=2 magnitude=9 ");
  CHECK(to_string(read("{augmentation: {resized_crop: 0.25}}")) == "resized_crop=0.25 ");
}

TEST_CASE("Wrong augmentations are faults with their line") {
  CHECK(fault("{augmentation: [crop, cutmix]}") ==
        "c.yaml:1: /data/augmentation/1 = cutmix, expected one of crop, flip, resized_crop, "
        "randaugment, cutout");
  CHECK(fault("{augmentation: [crop, resized_crop]}")
            .find("expected crop or resized_crop, not both") != std::string::npos);
  CHECK(fault("{augmentation: {crop: 2, resized_crop: 0.5}}").find("not both") !=
        std::string::npos);
  CHECK(fault("{augmentation: {randaugment: {magnitude: 31}}}") ==
        "c.yaml:1: /data/augmentation/randaugment/magnitude = 31, expected a number in [0, 30]");
  CHECK(fault("{augmentation: {cutuot: 3}}").find("cutout") != std::string::npos);
  CHECK(fault("{mixup: -1}") == "c.yaml:1: /data/mixup = -1, expected a number in [0, 100]");
}

TEST_CASE("Options of data sets of files are faults elsewhere") {
  CHECK(fault("{dataset: folder}") ==
        "c.yaml:1: /data/path is missing, expected the folder of the images for dataset: folder");
  CHECK(fault("{dataset: cifar10, resolution: 64}") ==
        "c.yaml:1: /data/resolution = 64, expected nothing: it is for dataset: folder or csv");
  CHECK(fault("{dataset: csv, path: x, channels: 2}") ==
        "c.yaml:1: /data/channels = 2, expected 1 (grey) or 3 (RGB)");
}

TEST_CASE("draw_plans depends on the stream, and one kind not on the others") {
  const std::vector<ImagePlan> plans = draw_plans(everything(), kShape, 200, Rng(3));
  Augmentation crops;
  crops.crop_padding = 2;
  crops.flip = true;
  const std::vector<ImagePlan> only_crops = draw_plans(crops, kShape, 200, Rng(3));
  std::set<int64_t> shifts;
  std::set<ImageOperation> operations;
  int64_t flips = 0;
  for (size_t i = 0; i < plans.size(); ++i) {
    CHECK(plans[i].dy == only_crops[i].dy);
    CHECK(plans[i].dx == only_crops[i].dx);
    CHECK(plans[i].flip == only_crops[i].flip);
    CHECK(only_crops[i].steps.empty());
    shifts.insert(plans[i].dx);
    flips += plans[i].flip ? 1 : 0;
    CHECK(plans[i].steps.size() == 3);
    for (const ImagePlan::Step& step : plans[i].steps) {
      operations.insert(step.operation);
      CHECK(std::abs(step.strength) == doctest::Approx(0.4));
    }
    CHECK(plans[i].cut_size == 5);
    CHECK(plans[i].cut_y >= -2);
    CHECK(plans[i].cut_y <= 13);
  }
  CHECK(shifts == std::set<int64_t>{-2, -1, 0, 1, 2});
  CHECK(operations.size() == static_cast<size_t>(kImageOperations));
  CHECK(flips > 70);
  CHECK(flips < 130);
  CHECK(draw_plans(everything(), kShape, 1, Rng(4))[0].cut_x != plans[0].cut_x);
  // The usual settings: an eighth and a quarter of the height.
  Augmentation usual;
  usual.crop_padding = usual.cutout = Augmentation::kAutomatic;
  shifts.clear();
  for (const ImagePlan& plan : draw_plans(usual, {1, 32, 32}, 500, Rng(1))) {
    shifts.insert(plan.dy);
    CHECK(plan.cut_size == 8);
  }
  CHECK(*shifts.begin() == -4);
  CHECK(*shifts.rbegin() == 4);
}

TEST_CASE(
    "Windows of a resized crop lie inside and have the areas and ratios that were asked for") {
  Augmentation augmentation;
  augmentation.resized_crop = 0.08;
  const ImageShape shape{3, 200, 300};
  double smallest = 1.0;
  double largest = 0.0;
  for (const ImagePlan& plan : draw_plans(augmentation, shape, 2000, Rng(8))) {
    const Window& w = plan.window;
    CHECK(w.top >= 0);
    CHECK(w.left >= 0);
    CHECK(w.top + w.height <= 200);
    CHECK(w.left + w.width <= 300);
    const double ratio = static_cast<double>(w.width) / static_cast<double>(w.height);
    CHECK(ratio > 0.73);
    CHECK(ratio < 1.36);
    const double area = static_cast<double>(w.height * w.width) / 60000.0;
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
  }
  CHECK(smallest > 0.078);
  CHECK(smallest < 0.1);
  CHECK(largest > 0.75);
  // Nothing fits a strip: its middle is taken.
  augmentation.resized_crop = 1.0;
  const Window strip = draw_plans(augmentation, {1, 10, 100}, 1, Rng(1))[0].window;
  CHECK(strip.height == 10);
  CHECK(strip.width == 13);
  CHECK(strip.left == 43);
}

TEST_CASE("Augmenter applies crop, operations, normalisation and cut in this order") {
  const Augmenter augmenter(kShape, {0.5, 0.25, 0.1}, {0.25, 0.5, 0.2});
  std::vector<uint8_t> image;
  Rng rng(6);
  for (int64_t i = 0; i < kShape.size(); ++i) image.push_back(static_cast<uint8_t>(rng.below(256)));
  const std::vector<uint8_t> fill = {128, 64, 26};
  for (const ImagePlan& plan : draw_plans(everything(), kShape, 40, Rng(2))) {
    std::vector<uint8_t> current(image.size());
    std::vector<uint8_t> next(image.size());
    shift_and_flip(plan.dy, plan.dx, plan.flip, kShape, image.data(), current.data());
    for (const ImagePlan::Step& step : plan.steps) {
      apply_operation(step.operation, step.strength, kShape, current.data(), next.data(),
                      fill.data());
      std::swap(current, next);
    }
    std::vector<float> got(image.size());
    augmenter.apply(plan, image.data(), got.data());
    int64_t wrong = 0;
    for (int64_t i = 0; i < kShape.size(); ++i) {
      const int64_t y = i / 16 % 16;
      const int64_t x = i % 16;
      const bool cut =
          y >= plan.cut_y && y < plan.cut_y + 5 && x >= plan.cut_x && x < plan.cut_x + 5;
      const double mean[] = {0.5, 0.25, 0.1};
      const double deviation[] = {0.25, 0.5, 0.2};
      const double value =
          (current[static_cast<size_t>(i)] / 255.0 - mean[i / 256]) / deviation[i / 256];
      if (std::abs(got[static_cast<size_t>(i)] - (cut ? 0.0 : value)) > 1e-5) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("A plan without operations gives the same with and without the detour over bytes") {
  const Augmenter augmenter(kShape, {0.5, 0.25, 0.1}, {0.25, 0.5, 0.2});
  std::vector<uint8_t> image(static_cast<size_t>(kShape.size()));
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<uint8_t>(i * 7);
  Augmentation crops;
  crops.crop_padding = 20;  // beyond the image
  crops.flip = true;
  for (ImagePlan plan : draw_plans(crops, kShape, 60, Rng(5))) {
    std::vector<float> direct(image.size());
    std::vector<float> detour(image.size());
    augmenter.apply(plan, image.data(), direct.data());
    plan.steps.push_back({ImageOperation::Identity, 0.0});
    augmenter.apply(plan, image.data(), detour.data());
    CHECK(direct == detour);
  }
}

TEST_CASE("draw_mix permutes the batch and draws its weight from the Beta distribution") {
  double sum = 0.0;
  double squares = 0.0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const MixPlan plan = draw_mix(0.5, 8, Rng(seed));
    CHECK(std::set<int64_t>(plan.partners.begin(), plan.partners.end()).size() == 8);
    CHECK(plan.weight >= 0.0);
    CHECK(plan.weight <= 1.0);
    sum += plan.weight;
    squares += plan.weight * plan.weight;
  }
  // Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)) = 1/8.
  CHECK(sum / 4000.0 == doctest::Approx(0.5).epsilon(0.03));
  CHECK(squares / 4000.0 - 0.25 == doctest::Approx(0.125).epsilon(0.05));
  CHECK(draw_mix(0.5, 8, Rng(1)).partners == draw_mix(0.5, 8, Rng(1)).partners);
}
