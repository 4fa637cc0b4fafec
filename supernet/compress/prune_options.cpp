#include "supernet/compress/prune_options.h"

#include <cstdio>
#include <cstdlib>

namespace lathe::supernet {
namespace {

constexpr const char* kTargets =
    "METRIC xFACTOR (0 < FACTOR < 1) or METRIC <= VALUE, with one of macs, params, peak_memory, "
    "model_size, latency@DEVICE, such as latency@pi4 x0.7";

bool can_be_target(search::MetricKind kind) {
  return kind != search::MetricKind::Accuracy && kind != search::MetricKind::Energy;
}

/// Reads what stands behind the "x"; 0 for anything but a number in (0, 1).
double factor_of(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789.") != std::string::npos) return 0.0;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = end == text.c_str() + text.size();
  return whole && value > 0.0 && value < 1.0 ? value : 0.0;
}

/// Returns nothing for what cannot be a target.
std::optional<PruneTarget> target_of(const std::string& text) {
  PruneTarget target;
  const size_t cross = text.rfind(" x");
  try {
    if (cross != std::string::npos) {
      target.metric = search::parse_metric(text.substr(0, cross));
      target.factor = factor_of(text.substr(cross + 2));
    } else {
      const search::Constraint constraint = search::parse_constraint(text);
      target.metric = constraint.metric;
      if (constraint.at_most) target.bound = constraint.bound;
    }
  } catch (const ConfigError&) {
    return std::nullopt;
  }
  const bool something = target.factor > 0.0 || target.bound > 0.0;
  if (!something || !can_be_target(target.metric.kind)) return std::nullopt;
  return target;
}

}  // namespace

std::string to_string(const PruneTarget& target) {
  if (target.factor > 0.0) {
    char text[32];
    std::snprintf(text, sizeof text, " x%g", target.factor);
    return search::to_string(target.metric) + text;
  }
  return search::to_string(search::Constraint{target.metric, true, target.bound});
}

PruneTarget parse_prune_target(const std::string& text) {
  const std::optional<PruneTarget> target = target_of(text);
  if (!target) throw ConfigError("target = " + text + ", expected " + kTargets);
  return *target;
}

PruneOptions read_prune_options(ConfigSection section) {
  PruneOptions options;
  if (section.has("target")) {
    options.target = target_of(section.text("target", ""));
    if (!options.target) section.fault("target", kTargets);
  }
  if (section.has("accuracy_drop"))
    options.accuracy_drop = section.real("accuracy_drop", 0.01, {0.0, 1.0});
  options.criterion = network::prune_criterion_from_string(section.choice(
      "criterion", network::to_string(options.criterion), network::prune_criterion_names()));
  options.ranking = network::prune_ranking_from_string(
      section.choice("ranking", network::to_string(options.ranking), {"local", "global"}));
  options.channel_multiple = section.integer("channel_multiple", options.channel_multiple, {1, 64});
  options.images = section.count("images", options.images, {1, 1'000'000'000});
  options.rounds = section.integer("rounds", options.rounds, {1, 100});
  options.finetune_epochs = section.real("finetune_epochs", options.finetune_epochs, {0.0, 1e4});
  options.learning_rate = section.real("learning_rate", options.learning_rate, {0.0, 10.0, true});
  options.sparsity = section.real("sparsity", options.sparsity, {0.0, 1.0});
  options.sparsity_epochs = section.real("sparsity_epochs", options.sparsity_epochs, {0.0, 1e4});
  if ((options.sparsity > 0.0) != (options.sparsity_epochs > 0.0))
    section.fault("sparsity", "sparsity and sparsity_epochs together, or neither");
  if (section.present() && !options.enabled() && !section.has("target"))
    section.fault("", "target, accuracy_drop or both: where pruning ends");
  section.finish();
  return options;
}

}  // namespace lathe::supernet
