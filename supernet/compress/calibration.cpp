#include "supernet/compress/calibration.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "network/bias_correction.h"
#include "supernet/evaluate/recalibration.h"

namespace lathe::supernet {
namespace {

/// Of activations that bias correction may hold. A constant: results do not hang on settings of
/// memory.
constexpr int64_t kBiasBytes = int64_t{1} << 30;

/// Shows every output to a function and passes it on.
class Watch : public OutputPolicy {
 public:
  using Look = std::function<void(const Step&, const at::Tensor&)>;
  explicit Watch(Look look) : look_(std::move(look)) {}
  at::Tensor run(size_t, const Step& step, at::Tensor y) override {
    look_(step, y);
    return y;
  }

 private:
  Look look_;
};

/// The mean over the images of a batch, [1, ...].
network::Tensor batch_mean(const at::Tensor& y) {
  return to_network(y.mean(at::IntArrayRef({0}), /*keepdim=*/true));
}

/// Takes the error out of the layers that read a tensor, as soon as the tensor is there.
class Correction {
 public:
  Correction(network::Model& rounded, const network::Model& exact)
      : rounded_(rounded), exact_(exact) {
    for (const network::Node& node : rounded.network.nodes()) {
      if (node.parameters.size() < 2) continue;
      if (rounded.quantization->weights.count(node.parameters[0].name) == 0) continue;
      readers_[rounded.network.node(node.inputs[0]).name].push_back(node.id);
    }
  }

  bool is_read(const std::string& name) const { return readers_.count(name) != 0; }
  void set_exact(const std::string& name, const at::Tensor& y) { means_[name] = batch_mean(y); }

  /// Corrects the layers that read the node, in the model and in what the executor uses.
  void correct(const std::string& name, const at::Tensor& y, ParameterSource& in_use) {
    const network::Tensor mean = batch_mean(y);
    for (const network::NodeId id : readers_.at(name)) {
      const network::Node& node = rounded_.network.node(id);
      const std::vector<double> shift =
          network::mean_shift(node, exact_.weights, means_.at(name), rounded_.weights, mean);
      network::subtract_from_bias(rounded_, node, shift);
      const network::Parameter& bias = node.parameters[1];
      const at::Tensor used = in_use.value(bias);
      at::Tensor(used).copy_(to_torch(rounded_.weights.at(bias.name), used.device()));
    }
  }

 private:
  network::Model& rounded_;
  const network::Model& exact_;
  std::map<std::string, std::vector<network::NodeId>> readers_;
  std::map<std::string, network::Tensor> means_;
};

}  // namespace

CalibrationImages::CalibrationImages(const Batches& calibration_split, int64_t images,
                                     int64_t batch)
    : split_(calibration_split), size_(std::min(images, calibration_split.size())), batch_(batch) {}

void CalibrationImages::each(const std::function<void(const at::Tensor&)>& f) const {
  const BatchRanges ranges(size_, batch_);
  for (int64_t b = 0; b < ranges.count; ++b) {
    f(split_.range(ranges.begin(b), ranges.begin(b + 1)).images);
  }
}

at::Tensor CalibrationImages::first(int64_t count) const {
  return split_.range(0, std::min(count, size_)).images;
}

network::ValueRanges collect_ranges(const network::Model& exact, const CalibrationImages& images,
                                    const network::RangeOptions& options, at::Device device) {
  network::RangeCollector collector(options);
  Watch watch([&collector](const Step& step, const at::Tensor& y) {
    const at::Tensor host = y.to(at::kCPU, at::kFloat);
    // Whatever the order of dimensions in memory, all values are seen.
    const at::Tensor dense = host.is_non_overlapping_and_dense() ? host : host.contiguous();
    collector.observe(step.name, dense.data_ptr<float>(), dense.numel());
  });
  const ModelExecutor executor(exact, device, &watch);
  images.each([&executor](const at::Tensor& batch) { executor.run(batch); });
  return collector.ranges();
}

void correct_biases(network::Model& rounded, const network::Model& exact,
                    const CalibrationImages& images, at::Device device) {
  Correction correction(rounded, exact);
  Watch remember([&correction](const Step& step, const at::Tensor& y) {
    if (correction.is_read(step.name)) correction.set_exact(step.name, y);
  });
  const ModelExecutor float_executor(exact, device, &remember);
  int64_t count = images.size();
  while (count > 1 && float_executor.plan().peak_bytes(count) > kBiasBytes) count /= 2;
  const at::Tensor batch = images.first(count);
  float_executor.run(batch);
  ParameterSource* in_use = nullptr;
  Watch correct([&](const Step& step, const at::Tensor& y) {
    if (correction.is_read(step.name)) correction.correct(step.name, y, *in_use);
  });
  ModelExecutor executor(rounded, device, &correct);
  in_use = &executor.parameters();
  executor.run(batch);
}

}  // namespace lathe::supernet
