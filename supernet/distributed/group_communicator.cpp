// connect(): processes that meet at c10d's TCPStore and sum over Gloo or NCCL.

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "supernet/distributed/communicator.h"

#ifndef LATHE_HAS_GLOO

namespace lathe::supernet {

std::unique_ptr<Communicator> connect(const Launch& launch, at::Device,
                                      const CommunicatorOptions&) {
  if (launch.size == 1) return make_local_communicator();
  throw ConfigError("environment: " + std::to_string(launch.size) +
                    " processes, expected 1: lathe was built without Gloo (libgloo-dev)");
}

}  // namespace lathe::supernet

#else

#include "supernet/distributed/monitor.h"

namespace lathe::supernet {
namespace {

using c10::intrusive_ptr;

constexpr auto kSlice = std::chrono::milliseconds(250);
/// Of one operation, for Gloo: other processes may wait for rank 0 as long as it lives (while it
/// measures on boards), and it is the monitor that tells whether it does.
constexpr auto kOperationTimeout = std::chrono::hours(24 * 30);
constexpr double kExplanationS = 3.0;  ///< how long a broken connection may wait for its reason
constexpr const char* kCompleteKey = "complete";

std::chrono::milliseconds milliseconds(double s) {
  return std::chrono::milliseconds(static_cast<int64_t>(s * 1e3));
}

std::string message_of(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  const std::string text = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

std::string place(const Launch& launch) {
  return launch.address + ":" + std::to_string(launch.port);
}

intrusive_ptr<c10d::Store> open_store(const Launch& launch, bool host, double timeout_s) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(launch.port);
  options.isServer = host;
  options.waitWorkers = false;
  options.timeout = milliseconds(timeout_s);
  try {
    const auto store = c10::make_intrusive<c10d::TCPStore>(launch.address, options);
    return c10::make_intrusive<c10d::PrefixStore>("lathe/" + launch.attempt, store);
  } catch (const std::exception& error) {
    throw PeerError("rank " + std::to_string(launch.rank) + " of " + std::to_string(launch.size) +
                    ": the store at " + place(launch) + " cannot be " +
                    (host ? "opened: " : "reached: ") + message_of(error));
  }
}

/// Returns this machine's address on the way to `host`; empty if there is none.
std::string address_towards(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), "9", &hints, &found) != 0) return "";
  std::string address;
  for (const addrinfo* each = found; each != nullptr && address.empty(); each = each->ai_next) {
    // Connecting a datagram socket sends nothing; it only chooses the route.
    const int descriptor = socket(each->ai_family, SOCK_DGRAM, 0);
    if (descriptor < 0) continue;
    sockaddr_storage own = {};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST] = "";
    if (connect(descriptor, each->ai_addr, each->ai_addrlen) == 0 &&
        getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      address = text;
    }
    close(descriptor);
  }
  freeaddrinfo(found);
  return address;
}

std::shared_ptr< ::gloo::transport::Device> network_device(const Launch& launch) {
  using Group = c10d::ProcessGroupGloo;
  if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name != nullptr && *name != '\0') {
    return Group::createDeviceForInterface(name);
  }
  const std::string address = address_towards(launch.address);
  return address.empty() ? Group::createDefaultDevice() : Group::createDeviceForHostname(address);
}

class GroupCommunicator : public Communicator {
 public:
  GroupCommunicator(const Launch& launch, at::Device device, const CommunicatorOptions& options)
      : Communicator(launch.rank, launch.size),
        store_(open_store(launch, launch.hosts_store, options.join_s)),
        monitor_(open_store(launch, false, options.join_s),
                 {launch.rank, launch.size, options.silence_s}) {
    try {
      meet(launch, options.join_s);
      connect_gloo(launch);
      if (device.is_cuda()) connect_nccl(launch);
    } catch (const PeerError& error) {
      monitor_.give_up(error.what());
      throw;
    }
  }

  ~GroupCommunicator() override {
    if (left_) return;
    monitor_.give_up("it ended early");
    // Their threads are stuck in an operation with somebody who is gone; nobody can end them.
    new intrusive_ptr<ProcessGroupBase>(std::move(gloo_));
    new intrusive_ptr<ProcessGroupBase>(std::move(nccl_));
    new intrusive_ptr<c10d::Store>(std::move(store_));
  }

  void all_reduce_sum(at::Tensor tensor, const char* what) override {
    run(tensor, what, "sum of", [](ProcessGroupBase& group, std::vector<at::Tensor>& tensors) {
      return group.allreduce(tensors);
    });
  }

  void broadcast(at::Tensor tensor, const char* what) override {
    run(tensor, what, "broadcast of",
        [](ProcessGroupBase& group, std::vector<at::Tensor>& tensors) {
          return group.broadcast(tensors);
        });
  }

  void give_up(const std::string& reason) noexcept override { monitor_.give_up(reason); }

  void leave() override {
    barrier("the end");
    monitor_.leave();
    left_ = true;
  }

 private:
  /// Waits until every process has written its first beat.
  void meet(const Launch& launch, double join_s) {
    const double begin_s = steady_clock().now_s();
    const auto all_here = [&] {
      if (launch.rank != 0) return store_->check({kCompleteKey});
      if (!monitor_.complete()) return false;
      store_->set(kCompleteKey, std::vector<uint8_t>{1});
      return true;
    };
    while (!all_here()) {
      const std::string failure = monitor_.failure();
      if (!failure.empty()) throw PeerError(who() + "waiting for the others: " + failure);
      if (steady_clock().now_s() - begin_s > join_s) {
        const std::string missing = launch.rank == 0 ? monitor_.missing() : "some";
        throw PeerError(who() + "rank " + missing + " did not come to " + place(launch) +
                        " within " + std::to_string(std::lround(join_s)) + " s");
      }
      steady_clock().sleep_s(0.02);
    }
  }

  /// Connecting waits for the others with no regard to who dies meanwhile, so it has a thread.
  void connect_gloo(const Launch& launch) {
    auto made = std::make_shared<std::promise<intrusive_ptr<ProcessGroupBase> > >();
    std::future<intrusive_ptr<ProcessGroupBase> > group = made->get_future();
    std::thread([made, launch, store = store_] {
      try {
        auto options = c10d::ProcessGroupGloo::Options::create(kOperationTimeout);
        options->devices = {network_device(launch)};
        options->threads = 1;
        made->set_value(
            c10::make_intrusive<c10d::ProcessGroupGloo>(store, launch.rank, launch.size, options));
      } catch (...) {
        made->set_exception(std::current_exception());
      }
    }).detach();
    while (group.wait_for(kSlice) != std::future_status::ready) {
      const std::string failure = monitor_.failure();
      if (!failure.empty()) throw PeerError(who() + "connecting: " + failure);
    }
    try {
      gloo_ = group.get();
    } catch (const std::exception& error) {
      throw PeerError(who() + "connecting: " + explanation(message_of(error)) +
                      "; GLOO_SOCKET_IFNAME names the network interface to use");
    }
  }

  void connect_nccl(const Launch& launch) {
#ifdef USE_C10D_NCCL
    nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", store_), launch.rank, launch.size);
#else
    if (launch.rank == 0) log::warning("this LibTorch has no NCCL: sums go by way of the host");
#endif
  }

  template <typename Operation>
  void run(at::Tensor& tensor, const char* what, const char* verb, const Operation& operation) {
    const bool by_host = !tensor.is_cpu() && !nccl_;
    std::vector<at::Tensor> tensors = {by_host ? tensor.cpu() : tensor};
    ProcessGroupBase& group = tensor.is_cpu() || by_host ? *gloo_ : *nccl_;
    try {
      wait(*operation(group, tensors), &group == nccl_.get());
    } catch (const std::exception& error) {
      const std::string step = this->step() < 0 ? "" : " at step " + std::to_string(this->step());
      throw PeerError(who() + verb + " " + what + step + ": " + explanation(message_of(error)) +
                      "; what was saved is intact, start all processes again to go on from there");
    }
    if (by_host) tensor.copy_(tensors[0]);
  }

  /// Waits for the work in slices, looking after the others in between.
  void wait(c10d::Work& work, bool on_gpu) {
    if (on_gpu) {  // waiting would only order streams
      for (double next_s = steady_clock().now_s() + 0.25; !work.isCompleted();
           steady_clock().sleep_s(2e-5)) {
        if (steady_clock().now_s() < next_s) continue;
        refuse_failure();
        next_s = steady_clock().now_s() + 0.25;
      }
      work.wait();
      return;
    }
    while (!work.isCompleted()) {
      try {
        work.wait(kSlice);
      } catch (const std::exception&) {
        if (!work.isCompleted()) refuse_failure();  // no fault of the work: the slice is over
      }
    }
    work.wait();
  }

  void refuse_failure() const {
    const std::string failure = monitor_.failure();
    if (!failure.empty()) throw PeerError(failure);
  }

  /// A broken connection says little; the monitor soon knows why.
  std::string explanation(const std::string& symptom) const {
    const double begin_s = steady_clock().now_s();
    while (steady_clock().now_s() - begin_s < kExplanationS) {
      const std::string failure = monitor_.failure();
      if (!failure.empty()) return failure;
      steady_clock().sleep_s(0.05);
    }
    return "another process ended (" + symptom + ")";
  }

  std::string who() const {
    return "rank " + std::to_string(rank()) + " of " + std::to_string(size()) + ": ";
  }

  intrusive_ptr<c10d::Store> store_;
  Monitor monitor_;
  intrusive_ptr<ProcessGroupBase> gloo_, nccl_;
  bool left_ = false;
};

}  // namespace

std::unique_ptr<Communicator> connect(const Launch& launch, at::Device device,
                                      const CommunicatorOptions& options) {
  if (launch.size == 1) return make_local_communicator();
  return std::make_unique<GroupCommunicator>(launch, device, options);
}

}  // namespace lathe::supernet

#endif  // LATHE_HAS_GLOO
