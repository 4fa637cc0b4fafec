#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "core/log.h"
#include "latency/fleet/board_class.h"
#include "latency/fleet/fleet.h"
#include "network/digest.h"
#include "network/network.h"
#include "search/evaluation/evaluators.h"
#include "tests/support/fake_agent.h"

namespace lathe::latency::test {

/// Retries within milliseconds.
inline FleetOptions impatient() {
  FleetOptions options;
  options.back_off = {0.002, 2.0, 0.02};
  options.acquire_patience_s = 0.05;
  options.acquire_timeout_s = 0.2;
  return options;
}

/// Without checks of the boards against each other.
inline DeviceConfig device_of(const std::string& name, const std::vector<std::string>& agents) {
  DeviceConfig device;
  device.name = name;
  device.agents = agents;
  device.give_up_s = 60.0;
  device.agreement = 0.0;
  return device;
}

/// A candidate whose structure differs with `channels`.
inline search::Candidate candidate_of(int64_t channels) {
  network::Network network;
  const network::NodeId input = network.add_input("image", {1, 1, 8, 8});
  network::Conv2d conv;
  conv.out_channels = channels;
  conv.kernel = 3;
  conv.padding = 1;
  const network::NodeId features = network.add("stem", conv, {input});
  const network::NodeId pooled = network.add("pool", network::GlobalAveragePool{}, {features});
  network.add("flat", network::Flatten{}, {pooled});
  search::Candidate candidate;
  candidate.architecture.genes = {static_cast<uint16_t>(channels)};
  candidate.structure = network::digest(network, network::DigestKind::Structure);
  candidate.computation = network::digest(network, network::DigestKind::Computation);
  candidate.network = std::make_shared<network::Network>(network);
  return candidate;
}

/// Waits for a result that must come; a fleet that lost a job would hang here for ever.
inline Result<LatencyEstimate> get(std::future<Result<LatencyEstimate>>& future) {
  REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  return future.get();
}

inline Result<LatencyEstimate> measure(Fleet& fleet, const std::string& device, int64_t channels,
                                       const MeasurementPlan& plan = {}) {
  std::future<Result<LatencyEstimate>> future =
      fleet.evaluator(device).measure(candidate_of(channels), plan);
  return get(future);
}

}  // namespace lathe::latency::test
