#include "device_agent/engine/xnnpack/xnnpack_engine.h"

#include <pthreadpool.h>

#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/xnnpack/xnnpack_runnable.h"
#include "network/passes.h"
#include "network/quantize.h"

namespace lathe::device {

namespace {

class XnnpackEngine : public Engine {
 public:
  XnnpackEngine() { xnn::initialize(); }

  std::string name() const override { return "xnnpack"; }
  std::string version() const override { return xnn::version(); }
  std::vector<latency::Precision> precisions() const override {
    return {latency::Precision::Fp32, latency::Precision::Int8};
  }
  std::vector<std::string> operators() const override { return all_operator_names(); }

  std::unique_ptr<Runnable> prepare(network::Model model,
                                    const EngineOptions& options) const override {
    check_engine_options(*this, options);
    try {
      if (options.precision == latency::Precision::Int8) {
        return prepare_int8(std::move(model), options.threads);
      }
      model.quantization.reset();  // the floats are what its integers stand for
      if (needs_deploy(model.network)) model = network::deploy(model);
      return make_xnnpack_runnable(std::move(model), Scales::OfTheModel, pool(options.threads));
    } catch (const std::bad_alloc&) {
      throw EngineError(FailureKind::OutOfMemory,
                        "xnnpack: the network does not fit into the memory limit");
    }
  }

 private:
  std::unique_ptr<Runnable> prepare_int8(network::Model model, int threads) const {
    if (!model.quantization && model.stand_in_weights) {
      return make_xnnpack_runnable(network::quantize_nominally(std::move(model)), Scales::Nominal,
                                   pool(threads));
    }
    const std::string fault = network::quantization_fault(model);
    if (!fault.empty()) {
      throw EngineError(FailureKind::Unsupported, "xnnpack: precision = int8, but " + fault +
                                                      ", expected a quantised model (QDQ), or one "
                                                      "without weights");
    }
    return make_xnnpack_runnable(std::move(model), Scales::OfTheModel, pool(threads));
  }

  // All networks of a process share one pool: the waiting threads of a second one would spin beside
  // the first.
  std::shared_ptr<pthreadpool> pool(int threads) const {
    if (threads == 1) return nullptr;
    const std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<pthreadpool> pool = pools_[threads].lock();
    if (pool == nullptr) {
      pool.reset(pthreadpool_create(static_cast<size_t>(threads)), pthreadpool_destroy);
      if (pool == nullptr) throw std::bad_alloc();
      pools_[threads] = pool;
    }
    return pool;
  }

  mutable std::mutex mutex_;
  mutable std::map<int, std::weak_ptr<pthreadpool>> pools_;
};

}  // namespace

std::unique_ptr<Engine> make_xnnpack_engine() { return std::make_unique<XnnpackEngine>(); }

}  // namespace lathe::device
