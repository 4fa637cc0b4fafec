#include "supernet/compress/quantize_model.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/error.h"
#include "network/equalize.h"
#include "network/quantize.h"
#include "supernet/compress/calibration.h"
#include "supernet/compress/quantization_training.h"
#include "supernet/compress/sensitivity.h"
#include "supernet/evaluate/extraction.h"

namespace lathe::supernet {
namespace {

class Quantizer {
 public:
  Quantizer(const network::Model& model, const QuantizationData& data,
            const QuantizeOptions& options, const SupernetOptions& supernet, at::Device device)
      : data_(data),
        options_(options),
        supernet_(supernet),
        device_(device),
        images_(data.calibration, options.calibration_images, supernet.evaluation.batch),
        exact_(network::quantizable(model)) {
    rounding_.clipping =
        options.clip_weights ? network::WeightClipping::Mse : network::WeightClipping::None;
    report_.observer = network::to_string(options.range.method);
    report_.calibration_images = images_.size();
    report_.before = accuracy(model);
  }

  std::optional<QuantizedModel> run(const network::Model& model, const network::Model* teacher,
                                    Progress& progress, const std::function<bool()>& stop) {
    progress.begin("quantise", 3, "step");
    if (options_.equalize) equalize();
    ranges_ = collect_ranges(exact_, images_, options_.range, device_);
    progress.update(1, "calibrated");
    if (options_.sensitivity_images > 0) {
      report_.layers = layer_sensitivities(exact_, ranges_, rounding_, images_,
                                           options_.sensitivity_images, device_);
    }
    progress.update(2, "sensitivities");
    network::Model calibrated = within_loss();
    progress.update(3, "rounded");
    progress.end();
    if (options_.training.epochs <= 0.0) return QuantizedModel{std::move(calibrated), report_};
    // Equalised weights have no batch norm left to learn.
    const network::Model& start = options_.equalize ? exact_ : model;
    std::optional<network::Model> trained =
        train_quantized({start, calibrated, teacher}, data_.train, options_.training, supernet_,
                        data_.identity, device_, progress, stop);
    if (!trained) return std::nullopt;
    report_.trained = accuracy(*trained);
    report_.is_trained =
        options_.training.binary_weights || report_.trained.top1 >= report_.calibrated.top1;
    if (!report_.is_trained) return QuantizedModel{std::move(calibrated), report_};
    report_.after = report_.trained;
    return QuantizedModel{std::move(*trained), report_};
  }

 private:
  search::AccuracyEstimate accuracy(const network::Model& model) const {
    return model_accuracy(model, data_.validation, supernet_.evaluation.batch, device_);
  }

  void equalize() {
    const auto observed = collect_ranges(exact_, images_, {network::RangeMethod::MinMax}, device_);
    const network::Equalization done = network::equalize(exact_, observed);
    report_.equalized_pairs = static_cast<int64_t>(done.pairs.size());
    report_.relu6_kept = static_cast<int64_t>(done.relu6_kept.size());
  }

  network::Model rounded() const {
    network::Model model = network::quantize(exact_, ranges_, rounding_);
    if (options_.correct_bias) {
      correct_biases(model, exact_, images_, device_);
    }
    return model;
  }

  /// Rounds, with as few of the most sensitive layers in fp32 as the bound needs.
  network::Model within_loss() {
    std::vector<LayerSensitivity*> order;
    for (LayerSensitivity& layer : report_.layers) order.push_back(&layer);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto* a, const auto* b) { return a->sqnr_db < b->sqnr_db; });
    const auto most = std::min(order.size(), static_cast<size_t>(options_.float_layers));
    for (size_t kept = 0;; ++kept) {
      network::Model model = rounded();
      report_.calibrated = report_.after = accuracy(model);
      const bool within = report_.before.top1 - report_.calibrated.top1 <= options_.max_loss;
      if (within || kept == most) return model;
      rounding_.float_layers.insert(order[kept]->node);
      order[kept]->is_float = true;
    }
  }

  const QuantizationData& data_;
  const QuantizeOptions& options_;
  const SupernetOptions& supernet_;
  at::Device device_;
  CalibrationImages images_;
  network::Model exact_;  ///< the float network in quantizable() form
  network::ValueRanges ranges_;
  network::QuantizeOptions rounding_;
  QuantizationReport report_;
};

}  // namespace

std::optional<QuantizedModel> quantize_model(
    const network::Model& model, const network::Model* teacher, const QuantizationData& data,
    const QuantizeOptions& options, const SupernetOptions& supernet, at::Device device,
    Progress& progress, const std::function<bool()>& stop) {
  if (model.quantization)
    throw ConfigError("quantize: the model is quantised, expected a float one");
  if (options.training.binary_weights && options.training.epochs <= 0.0) {
    throw ConfigError("quantize: binary weights without training epochs, expected some");
  }
  if (options.float_layers > 0 && options.sensitivity_images <= 0) {
    throw ConfigError("quantize: float layers without sensitivity images, expected some");
  }
  Quantizer quantizer(model, data, options, supernet, device);
  return quantizer.run(model, teacher, progress, stop);
}

}  // namespace lathe::supernet
