#include "supernet/compress/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <variant>

namespace lathe::supernet {
namespace {

/// Where rounding changes nothing at all.
constexpr double kMostDecibels = 200.0;

double sqnr_db(const at::Tensor& exact, const at::Tensor& rounded) {
  const at::Tensor wide = exact.to(at::kDouble);
  const double signal = wide.square().sum().item<double>();
  const double noise = (wide - rounded.to(at::kDouble)).square().sum().item<double>();
  if (noise <= signal * std::pow(10.0, -kMostDecibels / 10.0)) return kMostDecibels;
  return 10.0 * std::log10(signal / noise);
}

}  // namespace

std::vector<std::string> layer_names(const network::Network& network) {
  std::vector<std::string> names;
  for (const network::Node& node : network.nodes()) {
    const bool is_layer = std::holds_alternative<network::Conv2d>(node.op) ||
                          std::holds_alternative<network::Linear>(node.op);
    if (is_layer) names.push_back(node.name);
  }
  return names;
}

std::vector<LayerSensitivity> layer_sensitivities(const network::Model& exact,
                                                  const network::ValueRanges& ranges,
                                                  const network::QuantizeOptions& options,
                                                  const CalibrationImages& calibration,
                                                  int64_t images, at::Device device) {
  const at::Tensor batch = calibration.first(images);
  const at::Tensor logits = ModelExecutor(exact, device).run(batch);
  const std::vector<std::string> names = layer_names(exact.network);
  std::vector<LayerSensitivity> table;
  for (const network::Node& node : exact.network.nodes()) {
    if (std::find(names.begin(), names.end(), node.name) == names.end()) continue;
    network::QuantizeOptions alone = options;
    alone.float_layers = {names.begin(), names.end()};
    alone.float_layers.erase(node.name);
    const network::Model one = network::quantize(exact, ranges, alone);
    LayerSensitivity row;
    row.node = node.name;
    row.op = network::operator_name(node.op);
    row.weights = network::element_count(node.parameters[0].shape);
    row.sqnr_db = sqnr_db(logits, ModelExecutor(one, device).run(batch));
    table.push_back(row);
  }
  return table;
}

}  // namespace lathe::supernet
