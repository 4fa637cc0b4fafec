// How much longer do the first inferences of a fresh process take? What the simulated boards of the
// tests assume of a cold worker is told by this. Usage: cold_start NETWORK [RESOLUTION]

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/statistics.h"
#include "device_agent/engine/engines.h"
#include "network/passes.h"
#include "network/reference_networks.h"

int main(int argc, char** argv) {
  using namespace lathe;
  constexpr size_t kInferences = 60;
  constexpr size_t kShown = 10;
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr,
                 "usage: cold_start NETWORK [RESOLUTION], as in: cold_start mobilenet_v2 224\n");
    return 2;
  }
  try {
    network::ReferenceOptions options;
    if (argc == 3) options.resolution = std::stoi(argv[2]);
    network::Network net = network::deploy(network::reference_network(argv[1], options));
    network::Weights weights = network::random_weights(net, 1);
    device::EngineRegistry engines;
    device::add_engines(engines);
    const auto runnable = engines.get("xnnpack").prepare({std::move(net), std::move(weights)},
                                                         device::EngineOptions());
    std::vector<double> seconds;
    for (size_t i = 0; i < kInferences; ++i) {
      const double start_s = steady_clock().now_s();
      runnable->run();
      seconds.push_back(steady_clock().now_s() - start_s);
    }
    const double warm_s = median({seconds.begin() + kInferences / 2, seconds.end()});
    std::printf("%s: %.3f ms warm; the first", argv[1], 1e3 * warm_s);
    for (size_t i = 0; i < kShown; ++i) std::printf(" %+.0f", 100.0 * (seconds[i] / warm_s - 1.0));
    std::printf(" %%\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cold_start: %s\n", error.what());
    return 1;
  }
  return 0;
}
