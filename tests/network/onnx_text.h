#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::test {

// ONNX files for tests, written in protobuf's text format: what other exporters write, and what
// nobody should.

/// Returns the bytes of a ModelProto given as text. Throws std::runtime_error if the text is wrong.
std::string onnx_from_text(const std::string& model_text);

/// Returns the bytes of a model with input "x" [1, 4, 6, 6], output "y" and the rest of the graph
/// as text.
std::string onnx_graph(const std::string& graph_text, int64_t opset = 17);

/// Returns the text of a float initialiser with small values that differ, or with the given ones.
std::string floats(const std::string& name, const std::vector<int64_t>& shape,
                   const std::vector<float>& values = {});
/// Returns the text of a one-dimensional int64 initialiser.
std::string ints(const std::string& name, const std::vector<int64_t>& values);

/// Returns the text of a node; inputs and outputs are separated by blanks, "-" is an absent one.
std::string onnx_node(const std::string& type, const std::string& inputs,
                      const std::string& outputs, const std::string& attributes = "");

std::string attribute(const std::string& name, int64_t value);
std::string attribute(const std::string& name, const std::vector<int64_t>& values);
std::string attribute(const std::string& name, const std::string& value);
std::string attribute_real(const std::string& name, double value);
/// A tensor attribute; `tensor` is what floats() or ints() returned.
std::string attribute_tensor(const std::string& name, const std::string& tensor);

/// A file that means a network of lathe, as some exporter spells it.
struct OnnxSpelling {
  std::string name;
  std::string bytes;
  std::string operators;  ///< what import must find, in order: "conv2d activation(swish)"
};

/// Spellings of every operator that import recognises; all run in ONNX Runtime.
std::vector<OnnxSpelling> onnx_spellings();

}  // namespace lathe::test
