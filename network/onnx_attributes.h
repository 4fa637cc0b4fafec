#pragma once

#include <cstdint>
#include <vector>

namespace onnx {
class NodeProto;
}  // namespace onnx

namespace lathe::network::onnx_writer {

// Each adds one attribute to a node.

void add_integer(onnx::NodeProto& node, const char* name, int64_t value);
void add_integers(onnx::NodeProto& node, const char* name, const std::vector<int64_t>& values);
void add_real(onnx::NodeProto& node, const char* name, double value);
void add_text(onnx::NodeProto& node, const char* name, const char* value);

}  // namespace lathe::network::onnx_writer
