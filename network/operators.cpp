#include <string>
#include <vector>

#include "core/text.h"
#include "network/network.h"

namespace lathe::network {
namespace {

struct ActivationName {
  ActivationKind kind;
  const char* name;
};

constexpr ActivationName kActivationNames[] = {
    {ActivationKind::Identity, "identity"}, {ActivationKind::Relu, "relu"},
    {ActivationKind::Relu6, "relu6"},       {ActivationKind::HardSwish, "hard_swish"},
    {ActivationKind::Swish, "swish"},       {ActivationKind::HardSigmoid, "hard_sigmoid"},
    {ActivationKind::Sigmoid, "sigmoid"},   {ActivationKind::NegatedRelu, "negated_relu"},
};

struct OperatorName {
  const char* operator()(const Input&) const { return "input"; }
  const char* operator()(const Conv2d&) const { return "conv2d"; }
  const char* operator()(const BatchNorm&) const { return "batch_norm"; }
  const char* operator()(const Activation&) const { return "activation"; }
  const char* operator()(const Add&) const { return "add"; }
  const char* operator()(const Multiply&) const { return "multiply"; }
  const char* operator()(const Concat&) const { return "concat"; }
  const char* operator()(const ChannelSlice&) const { return "channel_slice"; }
  const char* operator()(const ChannelShuffle&) const { return "channel_shuffle"; }
  const char* operator()(const MaxPool&) const { return "max_pool"; }
  const char* operator()(const AveragePool&) const { return "average_pool"; }
  const char* operator()(const GlobalAveragePool&) const { return "global_average_pool"; }
  const char* operator()(const Flatten&) const { return "flatten"; }
  const char* operator()(const Linear&) const { return "linear"; }
  const char* operator()(const Resize&) const { return "resize"; }
};

}  // namespace

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  return count;
}

const char* to_string(ActivationKind kind) {
  for (const ActivationName& entry : kActivationNames) {
    if (entry.kind == kind) return entry.name;
  }
  throw InvariantError("activation: kind = " + std::to_string(static_cast<int>(kind)) +
                       ", expected a member of ActivationKind");
}

ActivationKind activation_from_string(const std::string& name) {
  for (const ActivationName& entry : kActivationNames) {
    if (name == entry.name) return entry.kind;
  }
  const auto name_of = [](const ActivationName& entry) { return entry.name; };
  throw ConfigError("activation = " + name + ", expected one of " +
                    join(kActivationNames, ", ", name_of));
}

const char* operator_name(const Operator& op) { return std::visit(OperatorName{}, op); }

}  // namespace lathe::network
