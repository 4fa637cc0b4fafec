#include "device_agent/engine/onnxruntime/onnxruntime_engine.h"

#include <algorithm>
#include <ctime>
#include <new>
#include <numeric>
#include <utility>

#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/onnxruntime/session.h"
#include "network/cost.h"
#include "network/onnx.h"

namespace lathe::device {

namespace {

double monotonic_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class OnnxRuntimeRunnable : public Runnable {
 public:
  OnnxRuntimeRunnable(const network::Network& network, const std::string& onnx, Scales scales,
                      int threads)
      : scales_(scales),
        session_(onnx, threads, network.input_shape(), network.output_shape()),
        operators_(1) {
    const std::vector<int64_t> macs = network::node_macs(network);
    operators_[0].node = network.node(network.output()).name;
    operators_[0].op = "network";
    operators_[0].macs = std::accumulate(macs.begin(), macs.end(), int64_t{0});
  }

  void run() override { session_.run(); }

  void run_timed(std::vector<double>& seconds) override {
    if (seconds.size() != operators_.size()) {
      throw InvariantError("OnnxRuntimeRunnable::run_timed: entries = " +
                           std::to_string(seconds.size()) + ", expected 1");
    }
    const double before = monotonic_s();
    session_.run();
    seconds[0] += monotonic_s() - before;
  }

  void write_input(const std::vector<float>& image) override {
    if (image.size() != session_.input().size()) {
      throw InvariantError(
          "OnnxRuntimeRunnable::write_input: values = " + std::to_string(image.size()) +
          ", expected " + std::to_string(session_.input().size()));
    }
    require_meaning("onnxruntime", scales_);
    std::copy(image.begin(), image.end(), session_.input().begin());
  }

  std::vector<float> read_output() const override {
    require_meaning("onnxruntime", scales_);
    return session_.output();
  }

  const std::vector<OperatorInfo>& operators() const override { return operators_; }

  /// What is between input and output is the runtime's own.
  int64_t activation_bytes() const override {
    return static_cast<int64_t>((session_.input().size() + session_.output().size()) *
                                sizeof(float));
  }

 private:
  Scales scales_;
  ort::Session session_;
  std::vector<OperatorInfo> operators_;
};

class OnnxRuntimeEngine : public Engine {
 public:
  OnnxRuntimeEngine() { ort::api(); }

  std::string name() const override { return "onnxruntime"; }
  std::string version() const override { return ort::version(); }
  std::vector<latency::Precision> precisions() const override {
    return {latency::Precision::Fp32, latency::Precision::Int8};
  }
  std::vector<std::string> operators() const override { return all_operator_names(); }

  std::unique_ptr<Runnable> prepare(network::Model model,
                                    const EngineOptions& options) const override {
    check_engine_options(*this, options);
    try {
      PreparedModel prepared = prepare_model(*this, std::move(model), options.precision);
      const std::string onnx = network::to_onnx(prepared.model);
      prepared.model.weights.clear();
      return std::make_unique<OnnxRuntimeRunnable>(prepared.model.network, onnx, prepared.scales,
                                                   options.threads);
    } catch (const std::bad_alloc&) {
      throw EngineError(FailureKind::OutOfMemory,
                        "onnxruntime: the network does not fit into the memory limit");
    }
  }
};

}  // namespace

std::unique_ptr<Engine> make_onnxruntime_engine() { return std::make_unique<OnnxRuntimeEngine>(); }

}  // namespace lathe::device
