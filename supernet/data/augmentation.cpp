#include "supernet/data/augmentation.h"

#include <algorithm>
#include <cstdio>

namespace lathe::supernet {
namespace {

constexpr double kUsualArea = 0.08;
constexpr int64_t kUsualOperations = 2;
constexpr double kUsualMagnitude = 9.0;

const std::vector<std::string>& names() {
  static const std::vector<std::string> kNames = {"crop", "flip", "resized_crop", "randaugment",
                                                  "cutout"};
  return kNames;
}

Augmentation of_names(const std::vector<std::string>& wanted) {
  const auto has = [&](const char* name) {
    return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  Augmentation augmentation;
  if (has("crop")) augmentation.crop_padding = Augmentation::kAutomatic;
  augmentation.flip = has("flip");
  if (has("resized_crop")) augmentation.resized_crop = kUsualArea;
  if (has("randaugment")) augmentation.operations = kUsualOperations;
  if (has("cutout")) augmentation.cutout = Augmentation::kAutomatic;
  return augmentation;
}

Augmentation of_settings(ConfigSection section) {
  Augmentation augmentation;
  augmentation.crop_padding = section.integer("crop", 0, {0, 1000});
  augmentation.flip = section.boolean("flip", false);
  augmentation.resized_crop = section.real("resized_crop", 0.0, {0.0, 1.0});
  ConfigSection policy = section.section("randaugment");
  if (policy.present()) {
    augmentation.operations = policy.integer("operations", kUsualOperations, {1, 8});
    augmentation.magnitude = policy.real("magnitude", kUsualMagnitude, {0.0, 30.0});
  }
  policy.finish();
  augmentation.cutout = section.integer("cutout", 0, {0, 1000});
  section.finish();
  return augmentation;
}

std::string with(const char* name, double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%s=%.17g ", name, value);
  return text;
}

std::string sized(const char* name, int64_t size) {
  if (size == 0) return {};
  if (size == Augmentation::kAutomatic) return std::string(name) + " ";
  return with(name, static_cast<double>(size));
}

}  // namespace

Augmentation read_augmentation(ConfigSection& section, const std::string& key,
                               Augmentation fallback) {
  Augmentation augmentation = fallback;
  if (section.is_mapping(key)) {
    augmentation = of_settings(section.section(key));
  } else if (section.has(key)) {
    augmentation = of_names(section.choices(key, std::nullopt, names()));
  }
  if (augmentation.crop_padding != 0 && augmentation.resized_crop > 0.0) {
    section.fault(key, "crop or resized_crop, not both");
  }
  return augmentation;
}

std::string to_string(const Augmentation& augmentation) {
  std::string text = sized("crop", augmentation.crop_padding);
  if (augmentation.flip) text += "flip ";
  if (augmentation.resized_crop > 0.0) text += with("resized_crop", augmentation.resized_crop);
  if (augmentation.operations > 0) {
    text += with("randaugment", static_cast<double>(augmentation.operations)) +
            with("magnitude", augmentation.magnitude);
  }
  text += sized("cutout", augmentation.cutout);
  if (augmentation.mixup > 0.0) text += with("mixup", augmentation.mixup);
  return text;
}

}  // namespace lathe::supernet
