#include "supernet/data/image_set.h"

#include <utility>

#include "core/error.h"

namespace lathe::supernet {
namespace {

std::shared_ptr<const uint8_t> owned(std::vector<uint8_t> pixels) {
  auto holder = std::make_shared<const std::vector<uint8_t>>(std::move(pixels));
  const uint8_t* first = holder->data();
  return {std::move(holder), first};
}

void check_size(const ImageShape& shape, size_t bytes, size_t labels) {
  if (static_cast<int64_t>(bytes) != shape.size() * static_cast<int64_t>(labels)) {
    throw InvariantError("ImageSet: " + std::to_string(bytes) + " bytes, expected " +
                         std::to_string(labels) + " images of " + std::to_string(shape.size()));
  }
}

}  // namespace

ImageSet::ImageSet(ImageShape shape, std::shared_ptr<const uint8_t> pixels,
                   std::vector<int64_t> labels)
    : shape_(shape),
      pixels_(std::move(pixels)),
      labels_(std::make_shared<const std::vector<int64_t>>(std::move(labels))) {}

ImageSet::ImageSet(ImageShape shape, std::vector<uint8_t> pixels, std::vector<int64_t> labels) {
  check_size(shape, pixels.size(), labels.size());
  *this = ImageSet(shape, owned(std::move(pixels)), std::move(labels));
}

ImageSet select(const ImageSet& set, const std::vector<int64_t>& indices) {
  auto stored = std::make_shared<std::vector<int64_t>>();
  stored->reserve(indices.size());
  for (const int64_t index : indices) {
    if (index < 0 || index >= set.size()) {
      throw InvariantError("select: index = " + std::to_string(index) + ", expected 0 to " +
                           std::to_string(set.size() - 1));
    }
    stored->push_back(set.stored(index));
  }
  ImageSet part = set;
  part.indices_ = std::move(stored);
  return part;
}

std::vector<int64_t> images_per_class(const ImageSet& set, int64_t classes) {
  std::vector<int64_t> counts(static_cast<size_t>(classes), 0);
  for (int64_t i = 0; i < set.size(); ++i) {
    const int64_t label = set.label(i);
    if (label < 0 || label >= classes) {
      throw InvariantError("images_per_class: label of image " + std::to_string(i) + " = " +
                           std::to_string(label) + ", expected 0 to " +
                           std::to_string(classes - 1));
    }
    ++counts[static_cast<size_t>(label)];
  }
  return counts;
}

}  // namespace lathe::supernet
