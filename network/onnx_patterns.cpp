#include "network/onnx_patterns.h"

#include <onnx/onnx_pb.h>

#include <cmath>
#include <utility>

namespace lathe::network {
namespace {

constexpr int kNobody = -1;

/// Who makes and who reads each value of the graph.
class GraphIndex {
 public:
  explicit GraphIndex(const onnx::GraphProto& graph) : graph_(graph) {
    for (int i = 0; i < graph.node_size(); ++i) {
      for (const std::string& name : graph.node(i).output()) producers_.emplace(name, i);
      for (const std::string& name : graph.node(i).input()) ++uses_[name];
    }
    for (const onnx::ValueInfoProto& output : graph.output()) ++uses_[output.name()];
  }

  const onnx::NodeProto& node(int index) const { return graph_.node(index); }
  int size() const { return graph_.node_size(); }

  /// The node before `reader` that makes `name`, or kNobody.
  int producer(const std::string& name, int reader) const {
    const auto found = producers_.find(name);
    return found == producers_.end() || found->second >= reader ? kNobody : found->second;
  }
  /// The same if it is of `type` and makes this value alone.
  int producer_of_type(const std::string& name, int reader, const char* type) const {
    const int index = producer(name, reader);
    if (index == kNobody) return kNobody;
    const onnx::NodeProto& found = node(index);
    const bool good = found.op_type() == type && found.output_size() == 1;
    return good ? index : kNobody;
  }
  int uses(const std::string& name) const {
    const auto found = uses_.find(name);
    return found == uses_.end() ? 0 : found->second;
  }

 private:
  const onnx::GraphProto& graph_;
  std::map<std::string, int> producers_;
  std::map<std::string, int> uses_;
};

bool has_suffix(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool is_hard_sigmoid(const onnx::NodeProto& node) {
  double alpha = 0.2;
  double beta = 0.5;
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == "alpha") alpha = double{attribute.f()};
    if (attribute.name() == "beta") beta = double{attribute.f()};
  }
  return std::abs(alpha - 1.0 / 6.0) < 1e-6 && std::abs(beta - 0.5) < 1e-6;
}

class PatternFinder {
 public:
  PatternFinder(const onnx::GraphProto& graph,
                const std::function<std::optional<double>(const std::string&)>& scalar)
      : index_(graph), scalar_(scalar) {
    found_.inner.assign(static_cast<size_t>(index_.size()), false);
  }

  OnnxPatterns find() {
    for (int i = 0; i < index_.size(); ++i) {
      const std::string& type = index_.node(i).op_type();
      if (type == "QuantizeLinear") is_quantized_ = true;
      if (type == "Mul") find_gate(i);
      if (type == "Relu") find_negated_relu(i);
      if (type == "Div") find_divided(i);
      if (type == "Reshape") find_shuffle(i);
      if (type == "Add") find_biased_product(i);
    }
    for (int i = 0; i < index_.size(); ++i) find_fused(i);
    return std::move(found_);
  }

 private:
  /// x * sigmoid(x), x * hard_sigmoid(x) and x * (relu6(x + 3) / 6).
  void find_gate(int index) {
    const onnx::NodeProto& node = index_.node(index);
    if (node.input_size() != 2) return;
    for (const int side : {0, 1}) {
      const std::string& x = node.input(side);
      const std::string& gate = node.input(1 - side);
      if (index_.uses(gate) != 1) continue;
      const int sigmoid = index_.producer_of_type(gate, index, "Sigmoid");
      if (sigmoid != kNobody && reads_only(sigmoid, x)) {
        return set_activation(index, ActivationKind::Swish, x, {sigmoid});
      }
      const int hard = index_.producer_of_type(gate, index, "HardSigmoid");
      if (hard != kNobody && reads_only(hard, x) && is_hard_sigmoid(index_.node(hard))) {
        return set_activation(index, ActivationKind::HardSwish, x, {hard});
      }
      const int divided = index_.producer_of_type(gate, index, "Div");
      const auto known = found_.activations.find(divided);
      if (known != found_.activations.end() && known->second.input == x &&
          known->second.kind == ActivationKind::HardSigmoid) {
        found_.activations.erase(known);
        return set_activation(index, ActivationKind::HardSwish, x, {divided});
      }
    }
  }

  /// relu(-x).
  void find_negated_relu(int index) {
    const onnx::NodeProto& node = index_.node(index);
    if (node.input_size() != 1 || index_.uses(node.input(0)) != 1) return;
    const int negation = index_.producer_of_type(node.input(0), index, "Neg");
    if (negation == kNobody || index_.node(negation).input_size() != 1) return;
    set_activation(index, ActivationKind::NegatedRelu, index_.node(negation).input(0), {negation});
  }

  /// relu6(x + 3) / 6 and x * relu6(x + 3) / 6, as older exporters write them.
  void find_divided(int index) {
    const onnx::NodeProto& node = index_.node(index);
    if (node.input_size() != 2 || scalar_(node.input(1)) != 6.0) return;
    std::string x;
    std::vector<int> parts;
    if (find_shifted_relu6(node.input(0), index, x, parts)) {
      return set_activation(index, ActivationKind::HardSigmoid, x, parts);
    }
    const int product = index_.producer_of_type(node.input(0), index, "Mul");
    if (product == kNobody || index_.node(product).input_size() != 2) return;
    if (index_.uses(node.input(0)) != 1) return;
    for (const int side : {0, 1}) {
      parts = {product};
      const onnx::NodeProto& mul = index_.node(product);
      if (find_shifted_relu6(mul.input(1 - side), product, x, parts) && x == mul.input(side)) {
        return set_activation(index, ActivationKind::HardSwish, x, parts);
      }
    }
  }

  /// Clip(x + 3, 0, 6) as `name`.
  bool find_shifted_relu6(const std::string& name, int reader, std::string& x,
                          std::vector<int>& parts) const {
    const int clip = index_.producer_of_type(name, reader, "Clip");
    if (clip == kNobody || index_.uses(name) != 1 || !is_relu6(clip)) return false;
    const std::string& shifted = index_.node(clip).input(0);
    const int add = index_.producer_of_type(shifted, clip, "Add");
    if (add == kNobody || index_.uses(shifted) != 1 || index_.node(add).input_size() != 2) {
      return false;
    }
    for (const int side : {0, 1}) {
      if (scalar_(index_.node(add).input(1 - side)) != 3.0) continue;
      x = index_.node(add).input(side);
      parts.push_back(clip);
      parts.push_back(add);
      return true;
    }
    return false;
  }

  bool is_relu6(int index) const {
    const onnx::NodeProto& clip = index_.node(index);
    if (clip.input_size() == 3)
      return scalar_(clip.input(1)) == 0.0 && scalar_(clip.input(2)) == 6.0;
    double low = -1.0;
    double high = -1.0;
    for (const onnx::AttributeProto& attribute : clip.attribute()) {
      if (attribute.name() == "min") low = double{attribute.f()};
      if (attribute.name() == "max") high = double{attribute.f()};
    }
    return clip.input_size() == 1 && low == 0.0 && high == 6.0;
  }

  void find_shuffle(int index) {
    const onnx::NodeProto& last = index_.node(index);
    if (last.input_size() != 2) return;
    const int swap = index_.producer_of_type(last.input(0), index, "Transpose");
    if (swap == kNobody || index_.uses(last.input(0)) != 1 || !swaps_groups(swap)) return;
    const std::string& between = index_.node(swap).input(0);
    const int first = index_.producer_of_type(between, swap, "Reshape");
    if (first == kNobody || index_.uses(between) != 1 || index_.node(first).input_size() != 2) {
      return;
    }
    found_.shuffles[index] = first;
    mark_inner({swap, first});
  }

  bool swaps_groups(int index) const {
    const onnx::NodeProto& node = index_.node(index);
    if (node.input_size() != 1 || node.attribute_size() != 1) return false;
    const auto& perm = node.attribute(0).ints();
    return node.attribute(0).name() == "perm" &&
           std::vector<int64_t>(perm.begin(), perm.end()) == std::vector<int64_t>{0, 2, 1, 3, 4};
  }

  void find_biased_product(int index) {
    const onnx::NodeProto& node = index_.node(index);
    if (node.input_size() != 2) return;
    for (const int side : {0, 1}) {
      const int product = index_.producer_of_type(node.input(side), index, "MatMul");
      if (product == kNobody || index_.uses(node.input(side)) != 1) continue;
      const int bias = index_.producer(node.input(1 - side), index);
      if (bias != kNobody && index_.node(bias).op_type() != "Constant" &&
          index_.node(bias).op_type() != "DequantizeLinear") {
        continue;
      }
      found_.biased_products[index] = product;
      mark_inner({product});
      return;
    }
  }

  /// An activation that to_onnx wrote as "name/activation" belongs to the operator "name". So does,
  /// whatever its name, a relu in a quantised graph: the operator before has no integers of its
  /// own.
  void find_fused(int index) {
    const onnx::NodeProto& node = index_.node(index);
    if (found_.inner[static_cast<size_t>(index)]) return;
    const bool named = has_suffix(node.name(), "/activation");
    const auto found = found_.activations.find(index);
    const bool clamp = is_quantized_ && found == found_.activations.end() &&
                       (node.op_type() == "Relu" || node.op_type() == "Clip");
    if (!named && !clamp) return;
    const std::string input = found != found_.activations.end() ? found->second.input
                              : node.input_size() > 0           ? node.input(0)
                                                                : "";
    const int before = index_.producer(input, index);
    if (before == kNobody) return;
    if (!clamp && index_.node(before).name() + "/activation" != node.name()) return;
    const std::string& type = index_.node(before).op_type();
    if (type != "Conv" && type != "Gemm" && type != "Add") return;
    ActivationKind kind = ActivationKind::Identity;
    int readers = 1;
    if (found != found_.activations.end()) {
      kind = found->second.kind;
      readers = kind == ActivationKind::NegatedRelu ? 1 : 2;
    } else if (!single_activation(node, index, kind)) {
      return;
    }
    if (index_.uses(input) != readers) return;
    found_.fused[before] = kind;
    found_.aliases[index] = input;
  }

  bool single_activation(const onnx::NodeProto& node, int index, ActivationKind& kind) const {
    const std::string& type = node.op_type();
    if (type == "Relu") kind = ActivationKind::Relu;
    if (type == "Sigmoid") kind = ActivationKind::Sigmoid;
    if (type == "HardSwish") kind = ActivationKind::HardSwish;
    if (type == "HardSigmoid" && is_hard_sigmoid(node)) kind = ActivationKind::HardSigmoid;
    if (type == "Clip" && is_relu6(index)) kind = ActivationKind::Relu6;
    return kind != ActivationKind::Identity;
  }

  bool reads_only(int index, const std::string& x) const {
    return index_.node(index).input_size() == 1 && index_.node(index).input(0) == x;
  }
  void set_activation(int index, ActivationKind kind, const std::string& x,
                      const std::vector<int>& parts) {
    found_.activations[index] = {kind, x};
    mark_inner(parts);
  }
  void mark_inner(const std::vector<int>& parts) {
    for (const int part : parts) found_.inner[static_cast<size_t>(part)] = true;
  }

  GraphIndex index_;
  const std::function<std::optional<double>(const std::string&)>& scalar_;
  OnnxPatterns found_;
  bool is_quantized_ = false;
};

}  // namespace

OnnxPatterns find_onnx_patterns(
    const onnx::GraphProto& graph,
    const std::function<std::optional<double>(const std::string&)>& scalar) {
  return PatternFinder(graph, scalar).find();
}

}  // namespace lathe::network
