#include "device_agent/worker/block_runner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "device_agent/worker/reference_model.h"
#include "latency/measurement/estimator.h"
#include "network/cost.h"
#include "network/digest.h"
#include "network/passes.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;

namespace {

// Writes its letter for every run.
class Letter : public Runnable {
 public:
  Letter(std::string& log, char letter) : log_(log), letter_(letter) {}
  void run() override { log_ += letter_; }
  void run_timed(std::vector<double>&) override { run(); }
  void write_input(const std::vector<float>&) override {}
  std::vector<float> read_output() const override { return {}; }
  const std::vector<OperatorInfo>& operators() const override { return operators_; }
  int64_t activation_bytes() const override { return 0; }

 private:
  std::string& log_;
  char letter_;
  std::vector<OperatorInfo> operators_;
};

}  // namespace

TEST_CASE("a block runs primers and inferences of both networks in the planned order") {
  test::TemporaryFolder folder;
  BlockSensor sensor(folder.path(), {0}, true);
  std::string log;
  Letter candidate(log, 'c');
  Letter reference(log, 'r');
  BlockRunner runner(&candidate, &reference, sensor);
  latency::BlockPlan plan;
  plan.candidate_inferences = 2;
  plan.reference_inferences = 3;
  plan.candidate_primers = 1;
  latency::Block block = runner.run(plan);
  CHECK(log == "cccrrr");
  CHECK(block.candidate_s > 0.0);
  CHECK(block.reference_s > 0.0);
  CHECK(block.conditions.duration_s > 0.0);
  log.clear();
  plan.candidate_first = false;
  runner.run(plan);
  CHECK(log == "rrrccc");
  log.clear();
  BlockRunner alone(nullptr, &reference, sensor);
  block = alone.run(plan);
  CHECK(log == "rrr");
  CHECK(block.candidate_s == 0.0);
}

TEST_CASE("warming up runs two windows at least") {
  std::string log;
  Letter network(log, 'x');
  CHECK(warm_up(network, 1.0) > 0.0);
  CHECK(log.size() >= 6);
}

TEST_CASE("the control networks are of two sizes, the reference network fits any cache") {
  CHECK(network::cost(make_reference_model().network).model_bytes < 200'000);
  for (size_t i = 0; i < latency::DriftVariance::kControls; ++i) {
    CAPTURE(i);
    const network::Model control = make_control_model(i);
    network::check_weights(control.network, control.weights);
    CHECK(static_cast<double>(network::cost(control.network).model_bytes) ==
          doctest::Approx(static_cast<double>(latency::DriftVariance::kControlBytes[i]))
              .epsilon(0.05));
    CHECK(network::cost(control.network).macs < 30'000'000);
    for (const auto& [name, tensor] : control.weights) {
      CAPTURE(name);
      const auto [low, high] = std::minmax_element(tensor.values.begin(), tensor.values.end());
      CHECK(*low >= -0.06F);
      CHECK(*high <= 0.06F);
      CHECK(*low < *high);
    }
  }
}

TEST_CASE("the reference network never changes: stored latencies are relative to it") {
  const network::Model model = make_reference_model();
  CHECK(network::cost(model.network).macs == 5940992);
  CHECK(network::digest(model.network, network::DigestKind::Structure).hex() ==
        "cf201fe47a6b2351f97b68fa260da9ff");
  network::check_weights(model.network, model.weights);
}
