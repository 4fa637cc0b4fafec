#include "tests/device_agent/service/fault_engines.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "core/clock.h"
#include "device_agent/worker/worker_main.h"

namespace lathe::device::testing {

namespace {

void misbehave(const std::string& fault) {
  if (fault == "crash") ::raise(SIGSEGV);
  if (fault == "abort") std::abort();
  if (fault == "exit") ::_exit(7);
  if (fault == "throw") throw InvariantError("an engine's own bug");
  if (fault == "memory") {
    while (true) {
      constexpr size_t kPiece = size_t{4} << 20;
      std::memset(new char[kPiece], 1, kPiece);  // NOLINT: memory is to run out
    }
  }
  if (fault == "deaf") ::signal(SIGTERM, SIG_IGN);
  if (fault == "hang" || fault == "deaf") {
    for (volatile int spinning = 1; spinning != 0;) {
    }
  }
  if (fault == "garbage") {
    const std::string nonsense(64, '\xFF');
    if (::write(kWorkerChannel, nonsense.data(), nonsense.size()) < 0) std::abort();
  }
  if (fault == "mute") {
    ::close(kWorkerChannel);
    while (true) ::pause();
  }
}

class SpinRunnable : public Runnable {
 public:
  SpinRunnable(const network::Network& network, std::string fault)
      : fault_(std::move(fault)),
        outputs_(static_cast<size_t>(network::element_count(network.output_shape()))) {}
  void run() override {
    misbehave(fault_);
    const double end_s = steady_clock().now_s() + 50e-6;
    while (steady_clock().now_s() < end_s) {
    }
  }
  void run_timed(std::vector<double>& seconds) override {
    run();
    seconds.at(0) += 50e-6;
  }
  void write_input(const std::vector<float>&) override {}
  std::vector<float> read_output() const override { return std::vector<float>(outputs_, 1.0F); }
  const std::vector<OperatorInfo>& operators() const override { return operators_; }
  int64_t activation_bytes() const override { return 0; }

 private:
  std::string fault_;
  size_t outputs_;
  std::vector<OperatorInfo> operators_{{"all", "spin", 0}};
};

class TestEngine : public Engine {
 public:
  explicit TestEngine(std::string name) : name_(std::move(name)) {}
  std::string name() const override { return name_; }
  std::string version() const override { return "test"; }
  std::vector<latency::Precision> precisions() const override { return {latency::Precision::Fp32}; }
  std::vector<std::string> operators() const override { return {"conv2d"}; }
  std::unique_ptr<Runnable> prepare(network::Model model, const EngineOptions&) const override {
    const bool is_reference = model.network.input_shape() == network::Shape{1, 3, 96, 96};
    const size_t colon = name_.find(':');
    const bool healthy = is_reference || colon == std::string::npos;
    return std::make_unique<SpinRunnable>(model.network, healthy ? "" : name_.substr(colon + 1));
  }

 private:
  std::string name_;
};

}  // namespace

void add_test_engines(EngineRegistry& engines) {
  for (const char* name :
       {"spin", "fault:crash", "fault:abort", "fault:memory", "fault:hang", "fault:deaf",
        "fault:exit", "fault:garbage", "fault:mute", "fault:throw"}) {
    engines.add(std::make_unique<TestEngine>(name));
  }
}

}  // namespace lathe::device::testing
