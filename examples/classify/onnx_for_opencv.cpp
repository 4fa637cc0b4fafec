#include "onnx_for_opencv.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <vector>

// An ONNX file is a protobuf message: fields of a number, a type and a value. So little of it is
// changed here that a dozen lines which read fields do, rather than a library.

namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint32_t number = 0;
  uint32_t type = 0;
  std::string_view value;  ///< without the length of a kBytes
  std::string_view whole;  ///< as it stands in the file
};

[[noreturn]] void fail() { throw std::runtime_error("is damaged or no ONNX model"); }

std::string_view take(std::string_view& bytes, uint64_t count) {
  if (count > bytes.size()) fail();
  const std::string_view taken = bytes.substr(0, count);
  bytes.remove_prefix(count);
  return taken;
}

uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<uint8_t>(take(bytes, 1)[0]);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  fail();
}

std::vector<Field> fields_of(std::string_view message) {
  std::vector<Field> fields;
  while (!message.empty()) {
    const std::string_view begin = message;
    const uint64_t tag = take_varint(message);
    Field field;
    field.number = static_cast<uint32_t>(tag >> 3);
    field.type = tag & 7;
    if (field.type == kVarint) {
      const std::string_view before = message;
      take_varint(message);
      field.value = before.substr(0, before.size() - message.size());
    } else if (field.type == kBytes) {
      const uint64_t length = take_varint(message);
      field.value = take(message, length);
    } else if (field.type == kFixed32 || field.type == kFixed64) {
      field.value = take(message, field.type == kFixed32 ? 4 : 8);
    } else {
      fail();
    }
    field.whole = begin.substr(0, begin.size() - message.size());
    fields.push_back(field);
  }
  return fields;
}

void append_varint(std::string& message, uint64_t value) {
  for (; value >= 0x80; value >>= 7) message += static_cast<char>(value | 0x80);
  message += static_cast<char>(value);
}

void append_bytes(std::string& message, uint32_t number, std::string_view value) {
  append_varint(message, uint64_t{number} << 3 | kBytes);
  append_varint(message, value.size());
  message += value;
}

/// A NodeProto.
struct Node {
  std::vector<std::string_view> inputs;  // field 1
  std::string_view output;               // field 2, the first
  std::string_view type;                 // field 4
};

Node node_of(std::string_view message) {
  Node node;
  for (const Field& field : fields_of(message)) {
    if (field.number == 1) node.inputs.push_back(field.value);
    if (field.number == 2 && node.output.empty()) node.output = field.value;
    if (field.number == 4) node.type = field.value;
  }
  return node;
}

/// Returns the NodeProto without its fields of this number (1: inputs, 2: outputs).
std::string without(std::string_view message, uint32_t number) {
  std::string result;
  for (const Field& field : fields_of(message)) {
    if (field.number != number) result += field.whole;
  }
  return result;
}

/// Returns an AttributeProto of one float: name 1, f 2, type 20 (FLOAT is 1).
std::string float_attribute(std::string_view name, float value) {
  std::string message;
  append_bytes(message, 1, name);
  append_varint(message, 2U << 3 | kFixed32);
  char bytes[4];
  std::memcpy(bytes, &value, sizeof bytes);
  message.append(bytes, sizeof bytes);
  append_varint(message, 20U << 3 | kVarint);
  append_varint(message, 1);
  return message;
}

/// A GraphProto: nodes 1, initialisers 5.
class Graph {
 public:
  explicit Graph(std::string_view message) : fields_(fields_of(message)) {
    for (const Field& field : fields_) {
      if (field.number == 5) remember_scalar(field.value);
    }
  }

  std::string rewritten() const {
    std::string result;
    for (const Field& field : fields_) {
      if (field.number == 1) {
        append_node(result, field.value);
      } else {
        result += field.whole;
      }
    }
    return result;
  }

 private:
  /// A TensorProto: float_data 4, name 8, raw_data 9.
  void remember_scalar(std::string_view message) {
    std::string_view name;
    std::string_view data;
    for (const Field& field : fields_of(message)) {
      if (field.number == 8) name = field.value;
      if (field.number == 4 || field.number == 9) data = field.value;
    }
    float value = 0.0F;
    if (data.size() != sizeof value) return;
    std::memcpy(&value, data.data(), sizeof value);
    scalars_[name] = value;
  }

  void append_node(std::string& graph, std::string_view message) const {
    const Node node = node_of(message);
    if (node.type == "QuantizeLinear" || node.type == "DequantizeLinear") {
      throw std::runtime_error(
          "is quantised (int8), which OpenCV does not run; use the float model, or build with "
          "-DCLASSIFY_WITH_ONNXRUNTIME=ON");
    }
    if (node.type == "HardSigmoid") return append_hard_sigmoid(graph, message, node);
    if (node.type == "Clip") return append_bytes(graph, 1, clip(message, node));
    append_bytes(graph, 1, message);
  }

  static void append_hard_sigmoid(std::string& graph, std::string_view message, const Node& node) {
    const std::string between = std::string(node.output) + "/before_relu";
    std::string gate = without(message, 2);
    append_bytes(gate, 2, between);
    append_bytes(graph, 1, gate);
    std::string relu;
    append_bytes(relu, 1, between);
    append_bytes(relu, 2, node.output);
    append_bytes(relu, 3, between + "/relu");
    append_bytes(relu, 4, "Relu");
    append_bytes(graph, 1, relu);
  }

  std::string clip(std::string_view message, const Node& node) const {
    if (node.inputs.size() < 2) return std::string(message);
    std::string result = without(message, 1);
    append_bytes(result, 1, node.inputs[0]);
    for (size_t i = 1; i < node.inputs.size() && i < 3; ++i) {
      if (node.inputs[i].empty()) continue;  // no bound on this side
      const auto bound = scalars_.find(node.inputs[i]);
      if (bound == scalars_.end()) return std::string(message);
      append_bytes(result, 5, float_attribute(i == 1 ? "min" : "max", bound->second));
    }
    return result;
  }

  std::vector<Field> fields_;
  std::map<std::string_view, float> scalars_;  ///< initialisers of one float
};

}  // namespace

std::string onnx_for_opencv(std::string_view model) {
  std::string result;
  bool has_graph = false;
  for (const Field& field : fields_of(model)) {
    if (field.number == 7 && field.type == kBytes) {
      append_bytes(result, 7, Graph(field.value).rewritten());
      has_graph = true;
    } else {
      result += field.whole;
    }
  }
  if (!has_graph) fail();
  return result;
}
