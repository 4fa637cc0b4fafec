#pragma once

#include <string>
#include <vector>

#include "device_agent/engine/engine.h"
#include "network/network.h"

namespace lathe::device {

/// Returns the names of every operator that the IR has.
std::vector<std::string> all_operator_names();

/// \throws EngineError Unsupported if `engine` lacks the precision, or the threads are not in [1,
/// usable cores].
void check_engine_options(const Engine& engine, const EngineOptions& options);

/// What the integers of a model stand for.
enum class Scales { OfTheModel, Nominal };

/// A model in the form that an engine runs it in.
struct PreparedModel {
  network::Model model;
  latency::Precision precision = latency::Precision::Fp32;
  Scales scales = Scales::OfTheModel;
};

/// Returns `model` as it runs at `precision`: deployed, without quantization unless it is int8. In
/// int8 it must be quantised throughout; weights that stand for any get nominal scales.
/// \throws EngineError Unsupported, naming the node that is not quantised.
PreparedModel prepare_model(const Engine& engine, network::Model model,
                            latency::Precision precision);

/// \throws EngineError Unsupported if the scales are nominal, so that inputs and outputs would mean
/// nothing.
void require_meaning(const std::string& engine, Scales scales);

/// Returns how many cores this process may run on (its affinity mask).
int usable_cores();

}  // namespace lathe::device
