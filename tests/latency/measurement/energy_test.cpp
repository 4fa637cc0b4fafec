#include "latency/measurement/energy.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "core/rng.h"

using namespace lathe;
using namespace lathe::latency;

TEST_CASE("the energy of an inference by hand") {
  // 4, 5 and 6 mJ: mean 5, standard deviation 1, t(0.975, 2) = 4.302653.
  const EnergyEstimate energy =
      estimate_energy({{0.4, 0.1, 100}, {1.0, 0.2, 200}, {0.6, 0.1, 100}}, 0.95);
  CHECK(energy.mean_mj == doctest::Approx(5.0));
  CHECK(energy.interval_mj.high - 5.0 == doctest::Approx(4.302653 / std::sqrt(3.0)));
  CHECK(5.0 - energy.interval_mj.low == doctest::Approx(4.302653 / std::sqrt(3.0)));
  CHECK(energy.interval_mj.level == 0.95);
  CHECK(energy.power_w == doctest::Approx(2.0 / 0.4));
}

TEST_CASE("the interval covers the true energy as often as it says") {
  int covered = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Rng rng = Rng(7).derive("trial", static_cast<uint64_t>(trial));
    std::vector<EnergyWindow> windows;
    for (int i = 0; i < kEnergyWindows; ++i) {
      windows.push_back({2.0 * (1.0 + 0.02 * rng.normal()), 0.5, 500});
    }
    const EnergyEstimate energy = estimate_energy(windows, 0.95);
    if (energy.interval_mj.low <= 4.0 && 4.0 <= energy.interval_mj.high) ++covered;
  }
  // Within four standard errors of 95 %.
  CHECK(covered / static_cast<double>(kTrials) > 0.93);
  CHECK(covered / static_cast<double>(kTrials) < 0.97);
}

TEST_CASE("windows that tell nothing are refused") {
  CHECK_THROWS_AS(estimate_energy({{1.0, 1.0, 1}}, 0.95), InvariantError);
  for (const EnergyWindow& bad : {EnergyWindow{0.0, 1.0, 1}, EnergyWindow{1.0, 0.0, 1},
                                  EnergyWindow{1.0, 1.0, 0}, EnergyWindow{NAN, 1.0, 1}}) {
    CHECK_THROWS_AS(estimate_energy({{1.0, 1.0, 1}, bad}, 0.95), InvariantError);
  }
}
