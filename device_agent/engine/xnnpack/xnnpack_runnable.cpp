#include "device_agent/engine/xnnpack/xnnpack_runnable.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <map>
#include <new>
#include <utility>
#include <variant>

#include "device_agent/engine/execution_plan.h"
#include "device_agent/engine/xnnpack/int8_binding.h"
#include "device_agent/engine/xnnpack/packing.h"
#include "network/cost.h"

namespace lathe::device {

namespace {

struct FreeDelete {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};

double monotonic_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class XnnpackRunnable : public Runnable {
 public:
  XnnpackRunnable(PreparedModel prepared, std::shared_ptr<pthreadpool> pool)
      : plan_(plan_of(prepared)), scales_(prepared.scales), pool_(std::move(pool)) {
    // A multiple of the alignment, as aligned_alloc asks for.
    // On a 32-bit board a network can ask for more than there are addresses.
    if (plan_.arena_bytes > std::numeric_limits<std::ptrdiff_t>::max()) throw std::bad_alloc();
    arena_.reset(
        static_cast<std::byte*>(std::aligned_alloc(64, static_cast<size_t>(plan_.arena_bytes))));
    if (arena_ == nullptr) throw std::bad_alloc();
    std::memset(arena_.get(), 0, static_cast<size_t>(plan_.arena_bytes));
    describe_operators(prepared.model.network);
    bind_kernels(std::move(prepared.model));
  }

  void run() override {
    for (size_t i = 0; i < kernels_.size(); ++i) run_step(i);
  }

  void run_timed(std::vector<double>& seconds) override {
    if (seconds.size() != kernels_.size()) {
      throw InvariantError(
          "XnnpackRunnable::run_timed: entries = " + std::to_string(seconds.size()) +
          ", expected " + std::to_string(kernels_.size()));
    }
    double before = monotonic_s();
    for (size_t i = 0; i < kernels_.size(); ++i) {
      run_step(i);
      const double after = monotonic_s();
      seconds[i] += after - before;
      before = after;
    }
  }

  void write_input(const std::vector<float>& image) override {
    const TensorView& view = plan_.input;
    const auto pixels = static_cast<size_t>(view.pixels());
    const auto channels = static_cast<size_t>(view.channels);
    if (image.size() != pixels * channels) {
      throw InvariantError(
          "XnnpackRunnable::write_input: values = " + std::to_string(image.size()) + ", expected " +
          std::to_string(pixels * channels));
    }
    require_meaning("xnnpack", scales_);
    const xnn::Image to = this->image(view);
    for (size_t p = 0; p < pixels; ++p) {
      for (size_t c = 0; c < channels; ++c) {
        write_element(view, to, p * channels + c, image[c * pixels + p]);
      }
    }
  }

  std::vector<float> read_output() const override {
    const TensorView& view = plan_.output;
    const auto pixels = static_cast<size_t>(view.pixels());
    const auto channels = static_cast<size_t>(view.channels);
    require_meaning("xnnpack", scales_);
    const xnn::Image from = image(view);
    std::vector<float> values(pixels * channels);
    for (size_t c = 0; c < channels; ++c) {
      for (size_t p = 0; p < pixels; ++p) {
        values[c * pixels + p] = read_element(view, from, p * from.stride + c);
      }
    }
    return values;
  }

  const std::vector<OperatorInfo>& operators() const override { return operators_; }
  int64_t activation_bytes() const override { return plan_.arena_bytes; }

 private:
  static ExecutionPlan plan_of(const PreparedModel& prepared) {
    const network::Model& model = prepared.model;
    const bool half = prepared.precision == latency::Precision::Fp16;
    return make_execution_plan(model.network, model.quantization ? &*model.quantization : nullptr,
                               half ? Element::Half : Element::Float);
  }

  static void write_element(const TensorView& view, const xnn::Image& to, size_t at, float value) {
    switch (view.element) {
      case Element::Float:
        to.floats()[at] = value;
        return;
      case Element::Half:
        to.halves()[at] = to_half(value);
        return;
      case Element::Int8:
        to.integers()[at] = view.scale.quantize(value);
        return;
    }
  }

  static float read_element(const TensorView& view, const xnn::Image& from, size_t at) {
    switch (view.element) {
      case Element::Float:
        return from.floats()[at];
      case Element::Half:
        return from_half(from.halves()[at]);
      case Element::Int8:
        break;
    }
    return view.scale.dequantize(from.integers()[at]);
  }

  xnn::Image image(const TensorView& view) const {
    if (view.buffer < 0) return {};  // a step without a second input
    const PlanBuffer& buffer = plan_.buffers[static_cast<size_t>(view.buffer)];
    std::byte* const data =
        arena_.get() + buffer.arena_offset + view.offset * element_bytes(view.element);
    return {data,
            static_cast<size_t>(view.height),
            static_cast<size_t>(view.width),
            static_cast<size_t>(view.channels),
            static_cast<size_t>(view.stride),
            view.scale,
            view.element == Element::Half};
  }

  void run_step(size_t i) {
    if (plan_.steps[i].kernel == Kernel::ToChannelsFirst) {
      to_channels_first(plan_.steps[i]);
    } else {
      kernels_[i].run();
    }
  }

  void to_channels_first(const PlanStep& step) {
    const xnn::Image from = image(step.input);
    const xnn::Image to = image(step.output);
    const int64_t pixels = step.input.pixels();
    const int64_t channels = step.input.channels;
    switch (step.input.element) {
      case Element::Float:
        return transpose(from.floats(), to.floats(), pixels, channels);
      case Element::Half:
        return transpose(from.halves(), to.halves(), pixels, channels);
      case Element::Int8:
        return transpose(from.integers(), to.integers(), pixels, channels);
    }
  }

  template <typename T>
  static void transpose(const T* from, T* to, int64_t pixels, int64_t channels) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t p = 0; p < pixels; ++p) to[c * pixels + p] = from[p * channels + c];
    }
  }

  void describe_operators(const network::Network& network) {
    std::vector<int64_t> macs = network::node_macs(network);
    for (const PlanStep& step : plan_.steps) {
      OperatorInfo info;
      info.node = network.node(step.node).name;
      info.op = to_string(step.kernel);
      const bool computes =
          step.kernel == Kernel::Convolution || step.kernel == Kernel::FullyConnected;
      info.macs = computes ? macs[static_cast<size_t>(step.node)] : 0;
      operators_.push_back(info);
    }
  }

  void bind_kernels(network::Model model) {
    xnn::WeightPacker packer(model.network, std::move(model.weights),
                             model.quantization ? &*model.quantization : nullptr);
    for (const PlanStep& step : plan_.steps) {
      kernels_.emplace_back(pool_.get());
      const network::Node& node = model.network.node(step.node);
      try {
        bind(step, node, packer, kernels_.back());
      } catch (const EngineError& error) {
        throw EngineError(error.kind(), std::string(network::operator_name(node.op)) + " " +
                                            node.name + ": " + error.what());
      }
    }
  }

  void bind(const PlanStep& step, const network::Node& node, xnn::WeightPacker& packer,
            xnn::BoundKernel& kernel) {
    const xnn::Image in = image(step.input);
    const xnn::Image out = image(step.output);
    const xnn::Clamp limits{step.low, step.high};
    if (step.kernel == Kernel::ToChannelsFirst) return;
    if (step.input.element == Element::Int8 || step.output.element == Element::Int8) {
      return xnn::bind_int8(step, node, {in, image(step.second), out}, packer, kernel);
    }
    switch (step.kernel) {
      case Kernel::Convolution: {
        const auto& op = std::get<network::Conv2d>(node.op);
        const xnn::PackedWeights packed = packer.convolution(node);
        xnn::convolution(kernel, xnn::window(op), static_cast<uint32_t>(op.groups),
                         packed.weight.data(), packed.bias_or_null(), limits, in, out);
        return;
      }
      case Kernel::Affine: {
        const xnn::PackedWeights packed = packer.affine(node, step.function, in.channels);
        xnn::convolution(kernel, {}, static_cast<uint32_t>(in.channels), packed.weight.data(),
                         packed.bias_or_null(), limits, in, out);
        return;
      }
      case Kernel::Subsample: {
        const std::vector<float> ones(in.channels, 1.0F);
        xnn::Window every;
        every.stride = xnn::window(node).stride;
        xnn::convolution(kernel, every, static_cast<uint32_t>(in.channels), ones.data(), nullptr,
                         limits, in, out);
        return;
      }
      case Kernel::FullyConnected: {
        const xnn::PackedWeights packed = packer.linear(node, step.flattened_pixels);
        xnn::fully_connected(kernel, packed.weight.data(), packed.bias_or_null(), limits, in, out);
        return;
      }
      case Kernel::Clamp:
        return xnn::clamp(kernel, limits, in, out);
      case Kernel::HardSwish:
        return xnn::hard_swish(kernel, in, out);
      case Kernel::Sigmoid:
        return xnn::sigmoid(kernel, in, out);
      case Kernel::Add:
        return xnn::add(kernel, limits, in, image(step.second), out);
      case Kernel::Multiply:
        return xnn::multiply(kernel, in, image(step.second), out);
      case Kernel::Copy:
        return xnn::copy(kernel, in, out);
      case Kernel::Shuffle:
        return xnn::channel_shuffle(
            kernel, static_cast<size_t>(std::get<network::ChannelShuffle>(node.op).groups), in,
            out);
      case Kernel::MaxPool:
        return xnn::max_pool(kernel, xnn::window(node), in, out);
      case Kernel::AveragePool:
        return xnn::average_pool(kernel, xnn::window(node), in, out);
      case Kernel::GlobalAveragePool:
        return xnn::global_average_pool(kernel, in, out);
      case Kernel::Resize:
        return xnn::resize_bilinear(kernel, in, out);
      case Kernel::ToChannelsFirst:
      case Kernel::Lookup:
      case Kernel::Dequantize:
      case Kernel::Quantize:
        return;  // dealt with above
    }
  }

  ExecutionPlan plan_;
  Scales scales_;
  std::shared_ptr<pthreadpool> pool_;
  std::unique_ptr<std::byte, FreeDelete> arena_;
  std::vector<xnn::BoundKernel> kernels_;
  std::vector<OperatorInfo> operators_;
};

}  // namespace

std::unique_ptr<Runnable> make_xnnpack_runnable(PreparedModel prepared,
                                                std::shared_ptr<pthreadpool> pool) {
  return std::make_unique<XnnpackRunnable>(std::move(prepared), std::move(pool));
}

}  // namespace lathe::device
