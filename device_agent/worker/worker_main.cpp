#include "device_agent/worker/worker_main.h"

#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <optional>

#include "core/clock.h"
#include "core/statistics.h"
#include "device_agent/board/energy_meter.h"
#include "device_agent/board/system_files.h"
#include "device_agent/worker/block_runner.h"
#include "device_agent/worker/message_channel.h"
#include "device_agent/worker/real_time.h"
#include "device_agent/worker/reference_model.h"
#include "lathe/internal/worker.pb.h"
#include "network/cost.h"
#include "network/onnx.h"

namespace lathe::device {

namespace {

using internal::WorkerCommand;
using internal::WorkerEvent;

constexpr int kWorkerNiceness = -15;
constexpr int kMappedBytes = 64 << 10;
constexpr size_t kReserveBytes = size_t{64} << 10;

void set_limit(__rlimit_resource resource, uint64_t value) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(static_cast<rlim_t>(value), limit.rlim_max);
  limit.rlim_cur = wanted;
  limit.rlim_max = wanted;
  if (setrlimit(resource, &limit) != 0)
    throw DeviceError("worker: a resource limit could not be set");
}

// Bytes of the first field of statm (the address space) or of the peak resident memory.
int64_t address_space_bytes() {
  const std::string statm = read_text("/proc/self/statm").value_or("0");
  return std::strtoll(statm.c_str(), nullptr, 10) * sysconf(_SC_PAGESIZE);
}

int64_t peak_memory_bytes() {
  const auto fields = read_fields("/proc/self/status");
  const auto peak = fields.find("VmHWM");
  return peak == fields.end() ? 0 : 1024 * std::strtoll(peak->second.front().c_str(), nullptr, 10);
}

void limit_process(const internal::Load& load) {
  // Every thread of a pool reserves a stack of 8 MiB, which it does not use up.
  constexpr int64_t kStackBytes = int64_t{9} << 20;
  const int64_t stacks = kStackBytes * (static_cast<int64_t>(load.threads()) - 1);
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_FSIZE, 0);
  set_limit(RLIMIT_CPU, static_cast<uint64_t>(std::ceil(std::max(1.0, load.cpu_limit_s()))));
  if (load.memory_limit_bytes() > 0) {
    set_limit(RLIMIT_AS,
              static_cast<uint64_t>(address_space_bytes() + load.memory_limit_bytes() + stacks));
  }
}

void pin(const internal::Load& load) {
  if (load.cores().empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const uint32_t core : load.cores()) CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw EngineError(FailureKind::Unsupported,
                      "worker: the measuring core cannot be used (affinity was refused)");
  }
}

std::string read_model_bytes() {
  struct stat status {};
  if (fstat(kWorkerModel, &status) != 0) throw DataError("worker: no model was passed");
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pread(kWorkerModel, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count <= 0) throw DataError("worker: the model cannot be read");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

class Worker {
 public:
  explicit Worker(const EngineRegistry& engines)
      : engines_(engines), channel_(FileDescriptor(kWorkerChannel)) {}

  int run() {
    const double for_ever = std::numeric_limits<double>::infinity();
    while (true) {
      WorkerCommand command;
      if (channel_.receive(command, for_ever) != MessageChannel::Status::Done) return 0;
      WorkerEvent event;
      obey(command, event);
      event.set_peak_memory_bytes(peak_memory_bytes());
      if (channel_.send(event, for_ever) != MessageChannel::Status::Done) return 0;
      if (event.has_failed()) return 0;
    }
  }

 private:
  static void fail(WorkerEvent& event, FailureKind kind, const std::string& message) {
    event.mutable_failed()->set_kind(to_string(kind));
    event.mutable_failed()->set_message(message);
  }

  // The one border where exceptions of this process become events.
  void obey(const WorkerCommand& command, WorkerEvent& event) {
    try {
      switch (command.command_case()) {
        case WorkerCommand::kLoad:
          return load(command.load(), event);
        case WorkerCommand::kRunBlocks:
          return run_blocks(command.run_blocks(), event);
        case WorkerCommand::kTimeOperators:
          return time_operators(command.time_operators(), event);
        case WorkerCommand::kRunImages:
          return run_images(command.run_images(), event);
        case WorkerCommand::kMeasureEnergy:
          return measure_energy(command.measure_energy(), event);
        case WorkerCommand::COMMAND_NOT_SET:
          return fail(event, FailureKind::Internal, "worker: an empty command");
      }
    } catch (const EngineError& error) {
      fail(event, error.kind(), error.what());
    } catch (const DataError& error) {
      fail(event, FailureKind::InvalidModel, error.what());
    } catch (const std::bad_alloc&) {
      reserve_.reset();
      fail(event, FailureKind::OutOfMemory, "the network does not fit into the memory limit");
    } catch (const std::exception& error) {
      fail(event, FailureKind::Internal, error.what());
    }
  }

  void load(const internal::Load& load, WorkerEvent& event) {
    limit_process(load);
    pin(load);
    const Engine& engine = engines_.get(load.engine());
    EngineOptions options;
    options.threads = static_cast<int>(load.threads());
    if (load.with_reference()) reference_ = engine.prepare(make_reference_model(), options);
    if (load.control() > 0) {
      candidate_ = engine.prepare(make_control_model(load.control() - 1), options);
    }
    if (load.with_candidate()) {
      options.precision = static_cast<latency::Precision>(load.precision());
      network::Model model = network::import_onnx(read_model_bytes());
      input_shape_ = model.network.input_shape();
      output_shape_ = model.network.output_shape();
      event.mutable_loaded()->set_weight_bytes(network::cost(model).model_bytes);
      candidate_ = engine.prepare(std::move(model), options);
      malloc_trim(0);
    }
    std::vector<int> cores(load.cores().begin(), load.cores().end());
    board_root_ = load.board_root();
    sensor_.emplace(board_root_, std::move(cores), load.threads() == 1);
    internal::Loaded& loaded = *event.mutable_loaded();
    const RealTimeScope undisturbed;
    loaded.set_real_time(undisturbed.active());
    if (reference_ != nullptr) loaded.set_reference_s(warm_up(*reference_, load.warm_up_limit_s()));
    if (candidate_ != nullptr) loaded.set_candidate_s(warm_up(*candidate_, load.warm_up_limit_s()));
  }

  void run_blocks(const internal::RunBlocks& request, WorkerEvent& event) {
    const RealTimeScope undisturbed;
    BlockRunner runner(candidate_.get(), reference_.get(), sensor_.value());
    internal::BlocksDone& done = *event.mutable_blocks_done();
    for (const internal::BlockPlan& planned : request.blocks()) {
      latency::BlockPlan plan;
      plan.candidate_first = planned.candidate_first();
      plan.candidate_inferences = planned.candidate_inferences();
      plan.reference_inferences = planned.reference_inferences();
      plan.candidate_primers = planned.candidate_primers();
      plan.reference_primers = planned.reference_primers();
      const latency::Block measured = runner.run(plan);
      internal::Block& block = *done.add_blocks();
      block.set_candidate_s(measured.candidate_s);
      block.set_reference_s(measured.reference_s);
      const latency::BlockConditions& conditions = measured.conditions;
      block.set_duration_s(conditions.duration_s);
      block.set_involuntary_switches(conditions.involuntary_switches);
      block.set_off_cpu_s(conditions.off_cpu_s);
      block.set_steal_s(conditions.steal_s);
      block.set_irq_s(conditions.irq_s);
      block.set_frequency_hz(conditions.frequency_hz);
      block.set_planned_frequency_hz(conditions.planned_frequency_hz);
      block.set_throttle_bits(conditions.throttle_bits);
      block.set_temperature_c(conditions.temperature_c);
    }
  }

  void time_operators(const internal::TimeOperators& request, WorkerEvent& event) {
    constexpr size_t kMinRuns = 5;
    constexpr size_t kMaxRuns = 1000;
    Runnable& network = require_candidate();
    const std::vector<OperatorInfo>& operators = network.operators();
    std::vector<std::vector<double>> times(operators.size());
    std::vector<double> totals;
    const RealTimeScope undisturbed;
    const double end_s = steady_clock().now_s() + request.budget_s();
    while (totals.size() < kMinRuns ||
           (totals.size() < kMaxRuns && steady_clock().now_s() < end_s)) {
      std::vector<double> seconds(operators.size(), 0.0);
      network.run_timed(seconds);
      double total = 0.0;
      for (size_t i = 0; i < seconds.size(); ++i) {
        times[i].push_back(seconds[i]);
        total += seconds[i];
      }
      totals.push_back(total);
    }
    internal::OperatorsTimed& timed = *event.mutable_operators_timed();
    timed.set_total_s(median(totals));
    for (size_t i = 0; i < operators.size(); ++i) {
      internal::TimedOperator& added = *timed.add_operators();
      added.set_node(operators[i].node);
      added.set_operator_(operators[i].op);
      added.set_macs(operators[i].macs);
      added.set_median_s(median(times[i]));
    }
  }

  void measure_energy(const internal::MeasureEnergy& request, WorkerEvent& event) {
    Runnable& network = require_candidate();
    EnergyMeter meter(require_source(request.source()), steady_clock());
    const RealTimeScope undisturbed;
    for (uint32_t window = 0; window < request.count(); ++window) {
      const latency::EnergyWindow measured = run_energy_window(network, meter, request.window_s());
      internal::EnergyWindow& added = *event.mutable_energy_measured()->add_windows();
      added.set_joules(measured.joules);
      added.set_duration_s(measured.duration_s);
      added.set_inferences(measured.inferences);
    }
  }

  EnergySource require_source(const std::string& name) const {
    for (EnergySource& source : energy_sources(board_root_)) {
      if (source.name == name) return std::move(source);
    }
    throw EngineError(FailureKind::Unsupported,
                      "energy sensor " + name + ": cannot be read any more");
  }

  void run_images(const internal::RunImages& request, WorkerEvent& event) {
    Runnable& network = require_candidate();
    network::Shape shape(request.shape().begin(), request.shape().end());
    const bool fits = shape.size() == input_shape_.size() && shape[0] >= 1 &&
                      std::equal(shape.begin() + 1, shape.end(), input_shape_.begin() + 1);
    if (!fits) {
      throw EngineError(FailureKind::InvalidModel, "inputs: shape = " + network::to_string(shape) +
                                                       ", expected N x " +
                                                       network::to_string(input_shape_));
    }
    const int64_t values = network::element_count(input_shape_);
    const int64_t images = shape[0];
    // Not by their product, which a hostile number of images overflows.
    if (request.values_size() % values != 0 || request.values_size() / values != images) {
      throw EngineError(FailureKind::InvalidModel,
                        "inputs: values = " + std::to_string(request.values_size()) +
                            ", expected " + std::to_string(values) + " an image for shape " +
                            network::to_string(shape));
    }
    internal::ImagesRun& run = *event.mutable_images_run();
    for (int64_t i = 0; i < images; ++i) {
      const float* first = request.values().data() + i * values;
      network.write_input(std::vector<float>(first, first + values));
      network.run();
      const std::vector<float> output = network.read_output();
      run.mutable_values()->Add(output.begin(), output.end());
    }
    network::Shape output = output_shape_;
    output[0] = shape[0];
    for (const int64_t dimension : output) run.add_shape(dimension);
  }

  Runnable& require_candidate() {
    if (candidate_ == nullptr) throw InvariantError("worker: no model was loaded");
    return *candidate_;
  }

  const EngineRegistry& engines_;
  MessageChannel channel_;
  // Given back when memory has run out, so that the failure can still be told.
  std::unique_ptr<std::array<char, kReserveBytes>> reserve_ =
      std::make_unique<std::array<char, kReserveBytes>>();
  std::unique_ptr<Runnable> candidate_;
  std::unique_ptr<Runnable> reference_;
  std::optional<BlockSensor> sensor_;
  std::string board_root_;
  network::Shape input_shape_;
  network::Shape output_shape_;
};

}  // namespace

int run_worker(const EngineRegistry& engines) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails instead of killing
  // The job goes before ordinary programs of the board, where that is allowed.
  setpriority(PRIO_PROCESS, 0, kWorkerNiceness);
  mallopt(M_ARENA_MAX, 1);  // a further arena would take 64 MiB of the address space
  mallopt(M_MMAP_THRESHOLD, kMappedBytes);  // fixed: what is freed leaves the address space
  return Worker(engines).run();
}

}  // namespace lathe::device
