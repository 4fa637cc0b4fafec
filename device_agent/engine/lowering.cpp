#include "device_agent/engine/lowering.h"

#include <algorithm>
#include <map>
#include <variant>

namespace lathe::device {

using network::ActivationKind;
using network::Node;
using network::NodeId;

namespace {

bool writes_with_stride(Kernel kernel) {
  return kernel != Kernel::Add && kernel != Kernel::Multiply && kernel != Kernel::ToChannelsFirst;
}

// Nodes that the output depends on.
std::vector<bool> needed_nodes(const network::Network& network) {
  std::vector<bool> needed(network.nodes().size(), false);
  needed[static_cast<size_t>(network.output())] = true;
  for (size_t i = network.nodes().size(); i > 0; --i) {
    if (!needed[i - 1]) continue;
    for (const NodeId input : network.nodes()[i - 1].inputs)
      needed[static_cast<size_t>(input)] = true;
  }
  return needed;
}

class Lowering {
 public:
  Lowering(const network::Network& network, const network::Quantization* quantization,
           Element floats)
      : network_(network),
        quantization_(quantization),
        floats_(floats),
        needed_(needed_nodes(network)),
        tensor_of_(network.nodes().size(), -1) {}

  LoweredNetwork lower() {
    for (const Node& node : network_.nodes()) {
      const auto index = static_cast<size_t>(node.id);
      if (!needed_[index]) continue;
      node_ = &node;
      integers_ =
          quantization_ != nullptr && network::computes_in_integers(network_, *quantization_, node);
      const int lowered = std::visit([this](const auto& op) { return lower_node(op); }, node.op);
      tensor_of_[index] = rounded(lowered);
    }
    // A network whose output is needed always has its input needed too, unless the output has no
    // inputs at all.
    result_.input = tensor_of_[static_cast<size_t>(network_.input())];
    result_.output = tensor_of_[static_cast<size_t>(network_.output())];
    ++tensor(result_.output).uses;
    return std::move(result_);
  }

 private:
  SymbolicTensor& tensor(int index) { return result_.tensors[static_cast<size_t>(index)]; }

  // The tensor that the current node reads: floats, if it computes in float.
  int input(size_t which) {
    const int from = tensor_of_[static_cast<size_t>(node_->inputs[which])];
    if (integers_ || tensor(from).element != Element::Int8) return from;
    const auto [known, added] = floats_of_.emplace(from, -1);
    if (!added) return known->second;
    return known->second = converted(Kernel::Dequantize, from);
  }

  // What a node computed in float, as the integers that its readers expect.
  int rounded(int from) {
    const bool wanted = quantization_ != nullptr && quantization_->outputs.count(node_->name) != 0;
    if (!wanted || tensor(from).element == Element::Int8) return from;
    return converted(Kernel::Quantize, from);
  }

  int converted(Kernel kernel, int from) {
    const int to = add_like(from);
    tensor(to).flattened_pixels = tensor(from).flattened_pixels;
    tensor(to).element = kernel == Kernel::Quantize ? Element::Int8 : floats_;
    tensor(to).scale = {};
    if (kernel == Kernel::Quantize) tensor(to).scale = quantization_->outputs.at(node_->name);
    add_step(kernel, from, to);
    return to;
  }

  int add_tensor(int64_t height, int64_t width, int64_t channels) {
    SymbolicTensor added;
    added.height = height;
    added.width = width;
    added.channels = channels;
    added.element = floats_;
    result_.tensors.push_back(added);
    return static_cast<int>(result_.tensors.size()) - 1;
  }

  // Gives a tensor the element type and scale of the current node's output.
  int as_output(int index) {
    if (!integers_) return index;
    tensor(index).element = Element::Int8;
    tensor(index).scale = quantization_->outputs.at(node_->name);
    return index;
  }

  // A tensor of the current node's shape.
  int add_output_tensor() {
    const network::Shape& shape = node_->shape;
    return as_output(shape.size() == 4 ? add_tensor(shape[2], shape[3], shape[1])
                                       : add_tensor(1, 1, network::element_count(shape)));
  }

  int add_like(int other) {
    const SymbolicTensor like = tensor(other);
    const int added = add_tensor(like.height, like.width, like.channels);
    tensor(added).element = like.element;
    tensor(added).scale = like.scale;
    return added;
  }

  int add_lookup(int from, int to, ActivationKind kind) {
    add_step(Kernel::Lookup, from, to).function = kind;
    return to;
  }

  // `from` at the scale of the current node's output, for what only moves values.
  int rescaled(int from) {
    if (!integers_) return from;
    if (tensor(from).scale == quantization_->outputs.at(node_->name)) return from;
    const int to = as_output(add_like(from));
    tensor(to).flattened_pixels = tensor(from).flattened_pixels;
    return add_lookup(from, to, ActivationKind::Identity);
  }

  int add_alias(int base, int64_t offset, int64_t channels) {
    const int alias = add_like(base);
    tensor(alias).channels = channels;
    tensor(alias).base = base;
    tensor(alias).base_offset = offset;
    ++tensor(base).uses;
    return alias;
  }

  SymbolicStep& add_step(Kernel kernel, int from, int to) {
    SymbolicStep step;
    step.kernel = kernel;
    step.node = node_->id;
    step.input = from;
    step.output = to;
    ++tensor(from).uses;
    if (kernel == Kernel::ToChannelsFirst) tensor(from).needs_dense = true;
    if (tensor(to).base < 0) tensor(to).strided_writer = writes_with_stride(kernel);
    result_.steps.push_back(step);
    return result_.steps.back();
  }

  SymbolicStep& add_binary_step(Kernel kernel, int first, int second, int to) {
    ++tensor(second).uses;
    tensor(first).needs_dense = true;
    tensor(second).needs_dense = true;
    SymbolicStep& step = add_step(kernel, first, to);
    step.second = second;
    return step;
  }

  // True if `step` itself can apply `kind` as a clamp.
  static bool clamp_of(ActivationKind kind, SymbolicStep& step) {
    if (kind == ActivationKind::Relu || kind == ActivationKind::Relu6) step.low = 0.0F;
    if (kind == ActivationKind::Relu6) step.high = 6.0F;
    return kind == ActivationKind::Identity || kind == ActivationKind::Relu ||
           kind == ActivationKind::Relu6;
  }

  int activate(int from, ActivationKind kind) {
    if (kind == ActivationKind::Identity) return rescaled(from);
    if (integers_) return add_lookup(from, as_output(add_like(from)), kind);
    const int to = add_like(from);
    switch (kind) {
      case ActivationKind::Relu:
      case ActivationKind::Relu6:
        clamp_of(kind, add_step(Kernel::Clamp, from, to));
        return to;
      case ActivationKind::HardSwish:
        add_step(Kernel::HardSwish, from, to);
        return to;
      case ActivationKind::Sigmoid:
        add_step(Kernel::Sigmoid, from, to);
        return to;
      case ActivationKind::HardSigmoid: {
        SymbolicStep& step = add_step(Kernel::Affine, from, to);
        step.low = 0.0F;
        step.high = 1.0F;
        return to;
      }
      case ActivationKind::NegatedRelu: {
        SymbolicStep& step = add_step(Kernel::Affine, from, to);
        step.function = kind;
        step.low = 0.0F;
        return to;
      }
      case ActivationKind::Swish: {
        const int gate = add_like(from);
        add_step(Kernel::Sigmoid, from, gate);
        add_binary_step(Kernel::Multiply, from, gate, to);
        return to;
      }
      case ActivationKind::Identity:
        break;
    }
    return from;
  }

  // Adds `kernel` and then `kind`, inside the kernel if it is a clamp.
  int activated_step(Kernel kernel, int from, ActivationKind kind) {
    const int to = add_output_tensor();
    return clamp_of(kind, add_step(kernel, from, to)) ? to : activate(to, kind);
  }

  int lower_node(const network::Input&) {
    const int added = add_output_tensor();
    tensor(added).fixed = true;
    return added;
  }

  int lower_node(const network::Conv2d& op) {
    return activated_step(Kernel::Convolution, input(0), op.activation);
  }

  int lower_node(const network::BatchNorm&) {
    return activated_step(Kernel::Affine, input(0), ActivationKind::Identity);
  }

  int lower_node(const network::Activation& op) { return activate(input(0), op.kind); }

  int lower_node(const network::Linear& op) {
    return activated_step(Kernel::FullyConnected, input(0), op.activation);
  }

  int lower_node(const network::Add& op) {
    const int to = add_output_tensor();
    return clamp_of(op.activation, add_binary_step(Kernel::Add, input(0), input(1), to))
               ? to
               : activate(to, op.activation);
  }

  int lower_node(const network::Multiply&) {
    const int to = add_output_tensor();
    add_binary_step(Kernel::Multiply, input(0), input(1), to);
    return to;
  }

  int lower_node(const network::Concat&) {
    const int joined = add_output_tensor();
    tensor(joined).strided_writer = true;
    int64_t offset = 0;
    for (size_t i = 0; i < node_->inputs.size(); ++i) {
      const int part = input(i);
      const int64_t channels = tensor(part).channels;
      const int slot = add_alias(joined, offset, channels);
      --tensor(joined).uses;  // written through, not read
      if (integers_ && tensor(part).scale != tensor(slot).scale) {
        add_lookup(part, slot, ActivationKind::Identity);
      } else {
        add_step(Kernel::Copy, part, slot).joins = true;
      }
      offset += channels;
    }
    return joined;
  }

  int lower_node(const network::ChannelSlice& op) {
    return add_alias(rescaled(input(0)), op.begin, op.end - op.begin);
  }

  int lower_node(const network::ChannelShuffle& op) {
    const int from = rescaled(input(0));
    if (op.groups == 1 || op.groups == tensor(from).channels) return from;
    const int to = add_output_tensor();
    add_step(Kernel::Shuffle, from, to);
    return to;
  }

  int lower_pool(Kernel kernel, int from, int64_t window, int64_t stride) {
    if (window == 1 && stride == 1) return from;
    const int to = add_output_tensor();
    add_step(window == 1 ? Kernel::Subsample : kernel, from, to);
    return to;
  }

  // A mean that leaves padding out divides by another number at the border; no int8 kernel does.
  int lower_padded_average() {
    integers_ = false;
    const int from = input(0);
    const int to = add_output_tensor();
    add_step(Kernel::AveragePool, from, to);
    return to;
  }

  int lower_node(const network::MaxPool& op) {
    return lower_pool(Kernel::MaxPool, rescaled(input(0)), op.kernel, op.stride);
  }

  int lower_node(const network::AveragePool& op) {
    if (integers_ && op.padding > 0) return lower_padded_average();
    const bool alias = op.kernel == 1 && op.stride == 1;
    return lower_pool(Kernel::AveragePool, alias ? rescaled(input(0)) : input(0), op.kernel,
                      op.stride);
  }

  int lower_node(const network::GlobalAveragePool&) {
    const int to = add_output_tensor();
    add_step(Kernel::GlobalAveragePool, input(0), to);
    return to;
  }

  bool read_by_linear_only(NodeId id) const {
    if (network_.output() == id) return false;
    return std::all_of(network_.nodes().begin(), network_.nodes().end(), [&](const Node& node) {
      const bool reads = needed_[static_cast<size_t>(node.id)] &&
                         std::find(node.inputs.begin(), node.inputs.end(), id) != node.inputs.end();
      return !reads || std::holds_alternative<network::Linear>(node.op);
    });
  }

  int lower_node(const network::Flatten&) {
    int from = rescaled(input(0));
    const int64_t pixels = tensor(from).pixels();
    if (pixels == 1) return from;
    if (!read_by_linear_only(node_->id)) {
      const int to = add_output_tensor();
      add_step(Kernel::ToChannelsFirst, from, to);
      return to;
    }
    if (tensor(from).base >= 0) {
      const int copy = add_like(from);
      add_step(Kernel::Copy, from, copy);
      from = copy;
    }
    tensor(from).needs_dense = true;
    const int flat = add_alias(from, 0, network::element_count(node_->shape));
    tensor(flat).height = 1;
    tensor(flat).width = 1;
    tensor(flat).flattened = true;
    tensor(flat).flattened_pixels = pixels;
    return flat;
  }

  int lower_node(const network::Resize& op) {
    const int from = rescaled(input(0));
    if (tensor(from).height == op.height && tensor(from).width == op.width) return from;
    const int to = add_output_tensor();
    add_step(Kernel::Resize, from, to);
    return to;
  }

  const network::Network& network_;
  const network::Quantization* quantization_;  // null: all tensors are of floats_
  const Element floats_;
  bool integers_ = false;         // whether the current node computes in integers
  std::map<int, int> floats_of_;  // of int8 tensors that nodes in float read
  std::vector<bool> needed_;
  std::vector<int> tensor_of_;
  const Node* node_ = nullptr;
  LoweredNetwork result_;
};

}  // namespace

LoweredNetwork lower_to_kernels(const network::Network& network,
                                const network::Quantization* quantization, Element floats) {
  return Lowering(network, quantization, floats).lower();
}

}  // namespace lathe::device
