#include "network/onnx_attributes.h"

#include <onnx/onnx_pb.h>

namespace lathe::network::onnx_writer {
namespace {

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const char* name,
                                    onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

}  // namespace

void add_integer(onnx::NodeProto& node, const char* name, int64_t value) {
  add_attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

void add_integers(onnx::NodeProto& node, const char* name, const std::vector<int64_t>& values) {
  onnx::AttributeProto& attribute = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

void add_real(onnx::NodeProto& node, const char* name, double value) {
  add_attribute(node, name, onnx::AttributeProto::FLOAT).set_f(static_cast<float>(value));
}

void add_text(onnx::NodeProto& node, const char* name, const char* value) {
  add_attribute(node, name, onnx::AttributeProto::STRING).set_s(value);
}

}  // namespace lathe::network::onnx_writer
