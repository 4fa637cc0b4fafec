#include "device_agent/engine/engine_support.h"

#include <sched.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "core/text.h"
#include "network/passes.h"
#include "network/quantize.h"

namespace lathe::device {

namespace {

template <size_t... I>
std::vector<std::string> operator_names(std::index_sequence<I...>) {
  return {network::operator_name(network::Operator(std::in_place_index<I>))...};
}

// True if network::deploy would change the network (BatchNorms or activations of their own).
bool needs_deploy(const network::Network& network) {
  return std::any_of(network.nodes().begin(), network.nodes().end(), [](const network::Node& node) {
    return std::holds_alternative<network::BatchNorm>(node.op) ||
           std::holds_alternative<network::Activation>(node.op);
  });
}

}  // namespace

std::vector<std::string> all_operator_names() {
  return operator_names(std::make_index_sequence<std::variant_size_v<network::Operator>>());
}

void check_engine_options(const Engine& engine, const EngineOptions& options) {
  const std::vector<latency::Precision> known = engine.precisions();
  if (std::find(known.begin(), known.end(), options.precision) == known.end()) {
    const auto name_of = [](latency::Precision precision) { return latency::to_string(precision); };
    throw EngineError(FailureKind::Unsupported,
                      engine.name() + ": precision = " + latency::to_string(options.precision) +
                          ", expected one of: " + join(known, ", ", name_of));
  }
  const int cores = usable_cores();
  if (options.threads < 1 || options.threads > cores) {
    throw EngineError(FailureKind::Unsupported,
                      engine.name() + ": threads = " + std::to_string(options.threads) +
                          ", expected 1 to " + std::to_string(cores) + " (usable cores)");
  }
}

PreparedModel prepare_model(const Engine& engine, network::Model model,
                            latency::Precision precision) {
  if (precision != latency::Precision::Int8) {
    model.quantization.reset();  // the floats are what its integers stand for
    if (needs_deploy(model.network)) model = network::deploy(model);
    return {std::move(model), precision};
  }
  if (!model.quantization && model.stand_in_weights) {
    return {network::quantize_nominally(std::move(model)), precision, Scales::Nominal};
  }
  const std::string fault = network::quantization_fault(model);
  if (!fault.empty()) {
    throw EngineError(FailureKind::Unsupported,
                      engine.name() + ": precision = int8, but " + fault +
                          ", expected a quantised model (QDQ), or one without weights");
  }
  return {std::move(model), precision};
}

void require_meaning(const std::string& engine, Scales scales) {
  if (scales == Scales::OfTheModel) return;
  throw EngineError(FailureKind::Unsupported,
                    engine +
                        ": the model has no weights and no scales, so that its int8 outputs "
                        "mean nothing; expected a quantised model (QDQ) to run on images");
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace lathe::device
