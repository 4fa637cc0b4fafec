#include "device_agent/engine/execution_plan.h"

#include <algorithm>

#include "device_agent/engine/lowering.h"

namespace lathe::device {

const char* to_string(Kernel kernel) {
  switch (kernel) {
    case Kernel::Convolution:
      return "conv2d";
    case Kernel::Affine:
      return "affine";
    case Kernel::Subsample:
      return "subsample";
    case Kernel::FullyConnected:
      return "linear";
    case Kernel::Clamp:
      return "clamp";
    case Kernel::HardSwish:
      return "hard_swish";
    case Kernel::Sigmoid:
      return "sigmoid";
    case Kernel::Add:
      return "add";
    case Kernel::Multiply:
      return "multiply";
    case Kernel::Copy:
      return "copy";
    case Kernel::Shuffle:
      return "channel_shuffle";
    case Kernel::MaxPool:
      return "max_pool";
    case Kernel::AveragePool:
      return "average_pool";
    case Kernel::GlobalAveragePool:
      return "global_average_pool";
    case Kernel::Resize:
      return "resize";
    case Kernel::ToChannelsFirst:
      return "to_channels_first";
    case Kernel::Lookup:
      return "lookup";
    case Kernel::Dequantize:
      return "dequantize";
    case Kernel::Quantize:
      return "quantize";
  }
  return "unknown";
}

int64_t element_bytes(Element element) {
  switch (element) {
    case Element::Float:
      return 4;
    case Element::Half:
      return 2;
    case Element::Int8:
      break;
  }
  return 1;
}

namespace {

bool element_wise(Kernel kernel) {
  return kernel == Kernel::Clamp || kernel == Kernel::HardSwish || kernel == Kernel::Sigmoid ||
         kernel == Kernel::Add || kernel == Kernel::Multiply || kernel == Kernel::Lookup;
}

bool needs_dense_input(Kernel kernel) {
  return kernel == Kernel::Add || kernel == Kernel::Multiply || kernel == Kernel::ToChannelsFirst;
}

class Planner {
 public:
  explicit Planner(LoweredNetwork lowered)
      : lowered_(std::move(lowered)), buffer_of_(lowered_.tensors.size(), -1) {}

  ExecutionPlan plan() {
    place_in_concatenations();
    place_in_place();
    plan_.input = view(lowered_.input);
    for (const SymbolicStep& step : lowered_.steps) {
      if (!(step.joins && placed_at(step.input, step.output))) emit(step);
    }
    plan_.output = view(lowered_.output);
    plan_.output_is_image = plan_.output.pixels() > 1;
    set_lives();
    plan_.arena_bytes = place_buffers(plan_.buffers);
    return std::move(plan_);
  }

 private:
  SymbolicTensor& tensor(int index) { return lowered_.tensors[static_cast<size_t>(index)]; }

  // True if `part` lies where the slot `slot` of its concatenation is.
  bool placed_at(int part, int slot) {
    const SymbolicTensor& wanted = tensor(slot);
    return tensor(part).home == wanted.base && tensor(part).home_offset == wanted.base_offset;
  }

  void place_in_concatenations() {
    for (const SymbolicStep& step : lowered_.steps) {
      if (!step.joins) continue;
      SymbolicTensor& part = tensor(step.input);
      if (part.base >= 0 || part.home >= 0 || part.fixed || part.needs_dense ||
          !part.strided_writer)
        continue;
      part.home = tensor(step.output).base;
      part.home_offset = tensor(step.output).base_offset;
      // Joins come in topological order, so what lies inside `part` is known by now.
      if (part.uses > 1 || part.holds_shared) tensor(part.home).holds_shared = true;
    }
  }

  bool can_overwrite(int from, int to) {
    const SymbolicTensor& source = tensor(from);
    const SymbolicTensor& target = tensor(to);
    return source.uses == 1 && !source.holds_shared && source.base < 0 && source.home < 0 &&
           !source.fixed && source.pixels() == target.pixels() &&
           source.channels == target.channels && (source.strided_writer || view_is_dense(to));
  }

  // Later steps first, so that the place of each output is known when its input is asked.
  void place_in_place() {
    for (auto step = lowered_.steps.rbegin(); step != lowered_.steps.rend(); ++step) {
      if (!element_wise(step->kernel)) continue;
      if (can_overwrite(step->input, step->output)) {
        tensor(step->input).home = step->output;
      } else if (step->second >= 0 && can_overwrite(step->second, step->output)) {
        tensor(step->second).home = step->output;
      }
    }
  }

  bool view_is_dense(int index) {
    int root = index;
    while (tensor(root).base >= 0 || tensor(root).home >= 0) {
      root = tensor(root).base >= 0 ? tensor(root).base : tensor(root).home;
    }
    return tensor(index).pixels() == 1 || tensor(root).channels == tensor(index).channels;
  }

  int add_buffer(int64_t bytes) {
    PlanBuffer buffer;
    buffer.bytes = bytes;
    plan_.buffers.push_back(buffer);
    return static_cast<int>(plan_.buffers.size()) - 1;
  }

  TensorView view(int index) {
    const SymbolicTensor& wanted = tensor(index);
    TensorView result;
    if (wanted.flattened) {
      result = view(wanted.base);
      result.stride = wanted.channels;
    } else if (wanted.base >= 0) {
      result = view(wanted.base);
      result.offset += wanted.base_offset;
    } else if (wanted.home >= 0) {
      result = view(wanted.home);
      result.offset += wanted.home_offset;
    } else {
      int& buffer = buffer_of_[static_cast<size_t>(index)];
      if (buffer < 0) {
        buffer = add_buffer(wanted.pixels() * wanted.channels * element_bytes(wanted.element));
      }
      result.buffer = buffer;
      result.stride = wanted.channels;
    }
    result.height = wanted.height;
    result.width = wanted.width;
    result.channels = wanted.channels;
    result.element = wanted.element;
    result.scale = wanted.scale;
    return result;
  }

  TensorView dense_copy(const TensorView& from, network::NodeId node) {
    PlanStep copy;
    copy.kernel = Kernel::Copy;
    copy.node = node;
    copy.input = from;
    copy.output = from;
    copy.output.buffer = add_buffer(from.pixels() * from.channels * element_bytes(from.element));
    copy.output.offset = 0;
    copy.output.stride = from.channels;
    plan_.steps.push_back(copy);
    return copy.output;
  }

  void emit(const SymbolicStep& step) {
    PlanStep planned;
    planned.kernel = step.kernel;
    planned.node = step.node;
    planned.input = view(step.input);
    planned.low = step.low;
    planned.high = step.high;
    planned.function = step.function;
    planned.flattened_pixels = tensor(step.input).flattened_pixels;
    if (step.second >= 0) planned.second = view(step.second);
    if (needs_dense_input(step.kernel)) {
      if (!planned.input.dense()) planned.input = dense_copy(planned.input, step.node);
      if (step.second >= 0 && !planned.second.dense())
        planned.second = dense_copy(planned.second, step.node);
    }
    planned.output = view(step.output);
    plan_.steps.push_back(planned);
  }

  void set_lives() {
    const int end = static_cast<int>(plan_.steps.size());
    for (PlanBuffer& buffer : plan_.buffers) {
      buffer.first_step = end;
      buffer.last_step = -1;
    }
    const auto touch = [this](const TensorView& touched, int step) {
      if (touched.buffer < 0) return;
      PlanBuffer& buffer = plan_.buffers[static_cast<size_t>(touched.buffer)];
      buffer.first_step = std::min(buffer.first_step, step);
      buffer.last_step = std::max(buffer.last_step, step);
    };
    for (int i = 0; i < end; ++i) {
      const PlanStep& step = plan_.steps[static_cast<size_t>(i)];
      touch(step.input, i);
      touch(step.second, i);
      touch(step.output, i);
    }
    // The input is written once and read by every run; the output is read after the run.
    touch(plan_.input, -1);
    touch(plan_.input, end);
    touch(plan_.output, end);
  }

  LoweredNetwork lowered_;
  std::vector<int> buffer_of_;
  ExecutionPlan plan_;
};

}  // namespace

ExecutionPlan make_execution_plan(const network::Network& network,
                                  const network::Quantization* quantization, Element floats) {
  return Planner(lower_to_kernels(network, quantization, floats)).plan();
}

}  // namespace lathe::device
