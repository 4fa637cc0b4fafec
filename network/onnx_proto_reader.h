#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "network/network.h"

namespace onnx {
class AttributeProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace lathe::network::onnx_reader {

// Checked access to the messages of an ONNX file that nobody vouches for. All functions throw
// DataError with the node or tensor named when the file does not hold what is asked for.

/// Returns at most 80 printable characters of a name from the file, for messages and node names.
std::string printable(const std::string& name);

/// Returns "Conv features.0": how messages name a node. Unnamed nodes go by their first output.
std::string describe(const onnx::NodeProto& node);

/// \throws DataError "Conv features.0: what".
[[noreturn]] void fail(const onnx::NodeProto& node, const std::string& what);

/// The attributes of one node, typed. Not thread-safe. The node must outlive it.
class Attributes {
 public:
  explicit Attributes(const onnx::NodeProto& node);

  bool has(const char* name) const;
  int64_t integer(const char* name, int64_t fallback);
  double real(const char* name, double fallback);
  std::string text(const char* name, const std::string& fallback);
  std::optional<std::vector<int64_t>> integers(const char* name);
  const onnx::TensorProto* tensor(const char* name);
  /// The attribute's value must be `expected` if it is there.
  void require(const char* name, int64_t fallback, int64_t expected);
  /// Marks as read, for attributes that do not change the result.
  void ignore(const char* name);
  /// \throws DataError naming an attribute that nobody asked for: it could change the result.
  void finish() const;

 private:
  const onnx::AttributeProto* find(const char* name, int type);
  const onnx::NodeProto& node_;
  std::vector<bool> read_;
};

/// Returns the tensor's shape. Dimensions are positive (0 is allowed for one-dimensional integer
/// tensors) and the product is at most `max_elements`.
Shape tensor_shape(const onnx::TensorProto& tensor, int64_t max_elements);

/// Returns the seed of a tensor at `lathe:random?seed=N`, nothing if the values are in the file.
std::optional<uint64_t> random_seed(const onnx::TensorProto& tensor);

/// Returns the values of a float tensor that are in the file.
Tensor read_floats(const onnx::TensorProto& tensor, int64_t max_elements);

/// Calls `take` with each value of an int8, uint8 or int32 tensor that is in the file.
void read_quantized(const onnx::TensorProto& tensor, int64_t max_elements,
                    const std::function<void(int32_t)>& take);

/// Returns the name of an element type: "INT8".
std::string type_name(int32_t type);

/// Returns the values of a small int64 or int32 tensor.
std::vector<int64_t> read_integers(const onnx::TensorProto& tensor);

/// Returns the shortest decimal that reads back as the same float: 1e-05F is 1e-5,
/// not 9.99999975e-06.
double decimal(float value);

}  // namespace lathe::network::onnx_reader
