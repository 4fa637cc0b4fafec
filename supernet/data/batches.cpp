#include "supernet/data/batches.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace lathe::supernet {

namespace {

/// Returns mix.weight parts of every image and the rest of its partner. Every image is one thread's
/// work, so that the result does not depend on their number.
at::Tensor mixed(const at::Tensor& images, const MixPlan& mix) {
  at::Tensor result = at::empty_like(images);
  const int64_t size = images.numel() / std::max<int64_t>(1, images.size(0));
  const float* from = images.data_ptr<float>();
  float* to = result.data_ptr<float>();
  const auto own = static_cast<float>(mix.weight);
  const auto other = static_cast<float>(1.0 - mix.weight);
  at::parallel_for(0, images.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* a = from + i * size;
      const float* b = from + mix.partners[static_cast<size_t>(i)] * size;
      float* target = to + i * size;
      for (int64_t v = 0; v < size; ++v) target[v] = own * a[v] + other * b[v];
    }
  });
  return result;
}

}  // namespace

Batches::Batches(ImageSet set, const DatasetInfo& info, at::Device device)
    : set_(std::move(set)),
      augmenter_(set_.shape(), info.mean, info.standard_deviation),
      device_(device) {}

Batch Batches::at(const std::vector<int64_t>& indices) const {
  return make(indices, std::vector<ImagePlan>(indices.size()), {});
}

Batch Batches::range(int64_t begin, int64_t end) const {
  std::vector<int64_t> indices(static_cast<size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return at(indices);
}

Batch Batches::augmented(const std::vector<int64_t>& indices, const Augmentation& augmentation,
                         Rng rng) const {
  MixPlan mix;
  if (augmentation.mixup > 0.0) mix = draw_mix(augmentation.mixup, indices.size(), rng);
  return make(indices, draw_plans(augmentation, set_.shape(), indices.size(), rng), mix);
}

Batch Batches::make(const std::vector<int64_t>& indices, const std::vector<ImagePlan>& plans,
                    const MixPlan& mix) const {
  const auto count = static_cast<int64_t>(indices.size());
  const ImageShape& shape = set_.shape();
  Batch batch;
  batch.images = at::empty({count, shape.channels, shape.height, shape.width}, at::kFloat);
  batch.labels = at::empty({count}, at::kLong);
  float* images = batch.images.data_ptr<float>();
  int64_t* labels = batch.labels.data_ptr<int64_t>();
  at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t index = indices[static_cast<size_t>(i)];
      augmenter_.apply(plans[static_cast<size_t>(i)], set_.image(index), images + i * shape.size());
      labels[i] = set_.label(index);
    }
  });
  batch.mixed_labels = batch.labels;
  if (!mix.partners.empty()) {
    batch.mix = mix.weight;
    batch.images = mixed(batch.images, mix);
    batch.mixed_labels = batch.labels.index_select(0, at::tensor(mix.partners));
  }
  if (!device_.is_cpu()) {
    batch.images = batch.images.to(device_);
    batch.labels = batch.labels.to(device_);
    batch.mixed_labels = batch.mixed_labels.to(device_);
  }
  return batch;
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
