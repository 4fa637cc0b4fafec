#include "supernet/data/batches.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace lathe::supernet {

Augmentation read_augmentation(const std::vector<std::string>& names, int64_t height) {
  Augmentation augmentation;
  for (const std::string& name : names) {
    if (name == "crop") {
      augmentation.crop_padding = std::max<int64_t>(1, height / 8);
    } else if (name == "flip") {
      augmentation.flip = true;
    } else {
      throw ConfigError("/data/augmentation = " + name + ", expected crop or flip");
    }
  }
  return augmentation;
}

Batches::Batches(ImageSet set, const DatasetInfo& info, at::Device device)
    : set_(std::move(set)), device_(device) {
  for (size_t c = 0; c < info.mean.size(); ++c) {
    scale_.push_back(static_cast<float>(1.0 / (255.0 * info.standard_deviation[c])));
    shift_.push_back(static_cast<float>(-info.mean[c] / info.standard_deviation[c]));
  }
}

Batch Batches::at(const std::vector<int64_t>& indices) const {
  return make(indices, std::vector<Placement>(indices.size()));
}

Batch Batches::range(int64_t begin, int64_t end) const {
  std::vector<int64_t> indices(static_cast<size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return at(indices);
}

Batch Batches::augmented(const std::vector<int64_t>& indices, const Augmentation& augmentation,
                         Rng rng) const {
  std::vector<Placement> placements(indices.size());
  for (Placement& placement : placements) {
    const int64_t padding = augmentation.crop_padding;
    placement.dy = rng.integer(-padding, padding);
    placement.dx = rng.integer(-padding, padding);
    placement.flip = augmentation.flip && rng.bernoulli(0.5);
  }
  return make(indices, placements);
}

Batch Batches::make(const std::vector<int64_t>& indices,
                    const std::vector<Placement>& placements) const {
  const auto count = static_cast<int64_t>(indices.size());
  Batch batch;
  batch.images = at::empty({count, set_.channels, set_.height, set_.width}, at::kFloat);
  batch.labels = at::empty({count}, at::kLong);
  float* images = batch.images.data_ptr<float>();
  int64_t* labels = batch.labels.data_ptr<int64_t>();
  at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t index = indices[static_cast<size_t>(i)];
      place(index, placements[static_cast<size_t>(i)], images + i * set_.image_size());
      labels[i] = set_.labels[static_cast<size_t>(index)];
    }
  });
  if (!device_.is_cpu()) {
    batch.images = batch.images.to(device_);
    batch.labels = batch.labels.to(device_);
  }
  return batch;
}

void Batches::place(int64_t index, const Placement& placement, float* target) const {
  const uint8_t* source = set_.image(index);
  const int64_t height = set_.height;
  const int64_t width = set_.width;
  for (int64_t c = 0; c < set_.channels; ++c) {
    const float scale = scale_[static_cast<size_t>(c)];
    const float shift = shift_[static_cast<size_t>(c)];
    for (int64_t y = 0; y < height; ++y) {
      float* row = target + (c * height + y) * width;
      std::fill(row, row + width, shift);  // padding is black
      const int64_t from_y = y + placement.dy;
      if (from_y < 0 || from_y >= height) continue;
      const uint8_t* from = source + (c * height + from_y) * width;
      const int64_t first = std::max<int64_t>(0, -placement.dx);
      const int64_t last = std::min(width, width - placement.dx);
      for (int64_t x = first; x < last; ++x) {
        row[x] = static_cast<float>(from[x + placement.dx]) * scale + shift;
      }
      if (placement.flip) std::reverse(row, row + width);
    }
  }
}

at::Tensor resized(const at::Tensor& images, int64_t height, int64_t width) {
  if (images.size(2) == height && images.size(3) == width) return images;
  return at::upsample_bilinear2d(images, {height, width}, /*align_corners=*/false);
}

at::Tensor to_torch(const network::Tensor& tensor, at::Device device) {
  at::Tensor host = at::empty(tensor.shape, at::kFloat);
  std::copy(tensor.values.begin(), tensor.values.end(), host.data_ptr<float>());
  return device.is_cpu() ? host : host.to(device);
}

network::Tensor to_network(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* values = host.data_ptr<float>();
  return {host.sizes().vec(), std::vector<float>(values, values + host.numel())};
}

}  // namespace lathe::supernet
