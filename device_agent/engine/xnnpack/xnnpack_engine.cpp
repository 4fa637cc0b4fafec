#include "device_agent/engine/xnnpack/xnnpack_engine.h"

#include <pthreadpool.h>

#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/xnnpack/half_operators.h"
#include "device_agent/engine/xnnpack/xnnpack_runnable.h"

namespace lathe::device {

namespace {

class XnnpackEngine : public Engine {
 public:
  XnnpackEngine() { xnn::initialize(); }

  std::string name() const override { return "xnnpack"; }
  std::string version() const override { return xnn::version(); }
  std::vector<latency::Precision> precisions() const override {
    std::vector<latency::Precision> known{latency::Precision::Fp32};
    if (xnn::half::supported()) known.push_back(latency::Precision::Fp16);
    known.push_back(latency::Precision::Int8);
    return known;
  }
  std::vector<std::string> operators() const override { return all_operator_names(); }

  std::unique_ptr<Runnable> prepare(network::Model model,
                                    const EngineOptions& options) const override {
    check_engine_options(*this, options);
    try {
      PreparedModel prepared = prepare_model(*this, std::move(model), options.precision);
      return make_xnnpack_runnable(std::move(prepared), pool(options.threads));
    } catch (const std::bad_alloc&) {
      throw EngineError(FailureKind::OutOfMemory,
                        "xnnpack: the network does not fit into the memory limit");
    }
  }

 private:
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
