#include "supernet/export/forward_source.h"

#include <cstdio>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "core/text.h"
#include "network/passes.h"

namespace lathe::supernet {
namespace {

using network::ActivationKind;
using network::Node;
using network::NodeId;
using network::Shape;

/// Returns "torch.NAME(a, b)".
std::string call(const std::string& name, const std::vector<std::string>& arguments) {
  return "torch." + name + "(" + join(arguments, ", ") + ")";
}

/// Returns "[1, 2]".
std::string list(const Shape& values) {
  return "[" + join(values, ", ", [](int64_t value) { return std::to_string(value); }) + "]";
}

/// A literal that reads back as the same double, and as a float to a parser that tells them from
/// integers by their look.
std::string real(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17e", value);
  return text;
}

std::string activated(ActivationKind kind, const std::string& value) {
  switch (kind) {
    case ActivationKind::Identity:
      return value;
    case ActivationKind::Relu:
      return call("relu", {value});
    case ActivationKind::Relu6:
      return call("relu6", {value});
    case ActivationKind::HardSwish:
      return call("hardswish", {value});
    case ActivationKind::Swish:
      return call("silu", {value});
    case ActivationKind::HardSigmoid:
      return call("hardsigmoid", {value});
    case ActivationKind::Sigmoid:
      return call("sigmoid", {value});
    case ActivationKind::NegatedRelu:
      return call("relu", {call("neg", {value})});
  }
  throw InvariantError("torchscript: unknown activation");
}

/// The parameters of a pooling function that follow its input.
std::vector<std::string> window(const std::string& value, int64_t kernel, int64_t stride,
                                int64_t padding) {
  return {value, list({kernel, kernel}), list({stride, stride}), list({padding, padding})};
}

std::string padded(const std::string& value, int64_t padding, const std::string& filler) {
  return call("constant_pad_nd", {value, list(Shape(4, padding)), filler});
}

/// Writes one node after the other.
class ForwardWriter {
 public:
  explicit ForwardWriter(const network::Network& network) : network_(network) {}

  ForwardSource write() {
    const std::vector<bool> needed = network::needed_nodes(network_);
    source_.text = "def forward(self, input: Tensor) -> Tensor:\n";
    for (const Node& node : network_.nodes()) {
      if (!needed[static_cast<size_t>(node.id)]) continue;
      node_ = &node;
      name_parameters();
      std::visit([this](const auto& op) { this->emit(op); }, node.op);
    }
    line("return " + value(network_.output()));
    return std::move(source_);
  }

 private:
  void emit(const network::Input&) {
    const Shape& shape = node_->shape;
    std::string fits = "input.dim() == " + std::to_string(shape.size());
    std::string expected = "[N";
    for (size_t i = 1; i < shape.size(); ++i) {
      const std::string size = std::to_string(shape[i]);
      fits += " and input.size(" + std::to_string(i) + ") == " + size;
      expected += ", " + size;
    }
    // Some networks would take images of another size and be silently wrong.
    line("assert " + fits + ", \"the network's input: expected " + expected + "]\"");
    assign("input");
  }

  void emit(const network::Conv2d& op) {
    assign(activated(op.activation,
                     call("conv2d", {input(0), parameter(0), op.bias ? parameter(1) : "None",
                                     list({op.stride, op.stride}), list({op.padding, op.padding}),
                                     "[1, 1]", std::to_string(op.groups)})));
  }

  void emit(const network::BatchNorm& op) {
    assign(call("batch_norm", {input(0), parameter(0), parameter(1), parameter(2), parameter(3),
                               "False", "0.0", real(op.epsilon), "True"}));
  }

  void emit(const network::Activation& op) { assign(activated(op.kind, input(0))); }
  void emit(const network::Add& op) {
    assign(activated(op.activation, call("add", {input(0), input(1)})));
  }
  void emit(const network::Multiply&) { assign(call("mul", {input(0), input(1)})); }

  void emit(const network::Concat&) {
    std::vector<std::string> inputs;
    for (size_t i = 0; i < node_->inputs.size(); ++i) inputs.push_back(input(i));
    assign(call("cat", {"[" + join(inputs, ", ") + "]", "1"}));
  }

  void emit(const network::ChannelSlice& op) {
    assign(call("narrow",
                {input(0), "1", std::to_string(op.begin), std::to_string(op.end - op.begin)}));
  }

  void emit(const network::ChannelShuffle& op) {
    // LibTorch's own channel_shuffle has no CUDA kernel before 2.2.
    const Shape& shape = node_->shape;
    const std::string split = call(
        "reshape", {input(0), list({-1, op.groups, shape[1] / op.groups, shape[2], shape[3]})});
    assign(call("flatten", {call("transpose", {split, "1", "2"}), "1", "2"}));
  }

  void emit(const network::MaxPool& op) {
    if (2 * op.padding <= op.kernel) {
      return assign(call("max_pool2d", window(input(0), op.kernel, op.stride, op.padding)));
    }
    const std::string image = padded(input(0), op.padding, "float('-inf')");
    assign(call("max_pool2d", window(image, op.kernel, op.stride, 0)));
  }

  void emit(const network::AveragePool& op) {
    const auto pool = [&](const std::string& image, int64_t padding) {
      std::vector<std::string> arguments = window(image, op.kernel, op.stride, padding);
      arguments.insert(arguments.end(), {"False", "False"});  // ceil_mode, count_include_pad
      return call("avg_pool2d", arguments);
    };
    if (2 * op.padding <= op.kernel) return assign(pool(input(0), op.padding));
    // PyTorch pads by half a window at most. The mean over a window with its zeros is divided by
    // the share of the window that lies inside.
    const std::string mean = pool(padded(input(0), op.padding, "0.0"), 0);
    const std::string inside = pool(padded(call("ones_like", {input(0)}), op.padding, "0.0"), 0);
    assign(call("div", {mean, inside}));
  }

  void emit(const network::GlobalAveragePool&) {
    assign(call("mean", {input(0), "[2, 3]", "True"}));
  }
  void emit(const network::Flatten&) { assign(call("flatten", {input(0), "1"})); }

  void emit(const network::Linear& op) {
    assign(activated(op.activation,
                     call("linear", {input(0), parameter(0), op.bias ? parameter(1) : "None"})));
  }

  void emit(const network::Resize& op) {
    assign(call("upsample_bilinear2d", {input(0), list({op.height, op.width}), "False"}));
  }

  // Names.

  /// Gives the current node's parameters their attributes; nodes may share one.
  void name_parameters() {
    const bool norm = std::holds_alternative<network::BatchNorm>(node_->op);
    for (size_t i = 0; i < node_->parameters.size(); ++i) {
      const std::string& name = node_->parameters[i].name;
      if (attributes_.count(name) != 0) continue;
      const std::string attribute = new_attribute(name);
      attributes_[name] = attribute;
      (norm && i >= 2 ? source_.buffers : source_.parameters)[name] = attribute;
    }
  }

  std::string new_attribute(const std::string& name) {
    std::string attribute;
    for (const char c : name) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      attribute += letter || (c >= '0' && c <= '9') ? c : '_';
    }
    // A word without '_' may be one of Python's or of a module ("forward", "training"), and a '_'
    // at the beginning stands for what is internal.
    const char first = attribute.empty() ? '_' : attribute[0];
    const bool usable = attribute.find('_') != std::string::npos && first != '_';
    if (!usable || (first >= '0' && first <= '9')) attribute = "parameter_" + attribute;
    while (!used_.insert(attribute).second) attribute += "_";
    return attribute;
  }

  std::string parameter(size_t index) const {
    return "self." + attributes_.at(node_->parameters[index].name);
  }
  static std::string value(NodeId id) { return "v" + std::to_string(id); }
  std::string input(size_t index) const { return value(node_->inputs[index]); }

  void line(const std::string& text) { source_.text += "    " + text + "\n"; }
  void assign(const std::string& expression) { line(value(node_->id) + " = " + expression); }

  const network::Network& network_;
  ForwardSource source_;
  const Node* node_ = nullptr;                     ///< being written
  std::map<std::string, std::string> attributes_;  ///< by parameter
  std::set<std::string> used_;
};

}  // namespace

ForwardSource forward_source(const network::Network& network) {
  return ForwardWriter(network).write();
}

}  // namespace lathe::supernet
