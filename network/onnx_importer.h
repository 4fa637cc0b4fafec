#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/network.h"
#include "network/onnx.h"
#include "network/onnx_patterns.h"
#include "network/onnx_proto_reader.h"

namespace onnx {
class GraphProto;
class ValueInfoProto;
}  // namespace onnx

namespace lathe::network {

/// Reads one ONNX graph into a Model, node after node. For one use.
class OnnxImporter {
 public:
  OnnxImporter(const onnx::GraphProto& graph, const OnnxLimits& limits);
  ~OnnxImporter();

  /// \throws DataError for anything malformed, too large or unsupported.
  Model run();

 private:
  using Node = onnx::NodeProto;
  using Reader = void (OnnxImporter::*)(const Node&);
  static const std::map<std::string, Reader>& readers();

  // The graph (onnx_import.cpp).
  void index_initializers();
  void read_input();
  void read_node(int index);
  void read_output();
  void fill_random_weights();

  // Values by name.
  bool is_tensor(const std::string& name) const { return tensors_.count(name) != 0; }
  bool is_constant(const std::string& name) const { return constants_.count(name) != 0; }
  /// The network node that input `index` names. \throws DataError if it is missing or a constant.
  NodeId tensor_input(const Node& node, int index) const;
  NodeId tensor_named(const Node& node, const std::string& name) const;
  const Shape& shape_of(NodeId id) const { return network_.node(id).shape; }
  /// The constant that input `index` names, or null if the input is absent.
  const onnx::TensorProto* constant_input(const Node& node, int index) const;
  const onnx::TensorProto& required_constant(const Node& node, int index) const;
  /// Integers given as input `index` or, in older operator sets, as attribute `name`.
  std::optional<std::vector<int64_t>> integers(const Node& node, int index, const char* name,
                                               onnx_reader::Attributes& attributes) const;
  /// Takes the name of a new value. \throws DataError if it is empty or taken.
  void define(const Node& node, const std::string& name);
  void set_tensor(const Node& node, NodeId id, int output = 0);
  void set_constant(const Node& node, const onnx::TensorProto* constant);
  void set_integers(const Node& node, const std::vector<int64_t>& values, bool scalar);
  void require_outputs(const Node& node, int expected) const;

  // Network nodes.
  NodeId add(const Node& node, const std::string& name, const Operator& op,
             const std::vector<NodeId>& inputs, const std::string& prefix = "");
  std::string unique_node_name(const Node& node) const;
  std::string unique_name(const std::string& wanted) const;
  /// Adds an operator with parameters, each from the constant beside it, as it stands in the file.
  struct Source {
    const onnx::TensorProto* tensor = nullptr;
    /// Makes the values of a float tensor those of the parameter; empty: they are the same.
    std::function<Tensor(Tensor)> convert;
    int64_t channel_axis = 0;  ///< of the tensor in the file: where output channels are
  };
  NodeId add_with_parameters(const Node& node, const std::string& name, const Operator& op,
                             NodeId input, const std::vector<Source>& sources);
  std::string parameter_prefix(const std::string& name, const std::vector<Source>& sources,
                               const Operator& op) const;
  static std::string front_of(const Source& source, const std::string& role);
  void set_parameter(const Node& node, const Parameter& parameter, const Source& source);
  ActivationKind fused_activation() const;

  // One reader an operator (onnx_import_operators.cpp).
  void read_conv(const Node& node);
  void read_batch_normalization(const Node& node);
  void read_simple_activation(const Node& node);
  void read_clip(const Node& node);
  void read_hard_sigmoid(const Node& node);
  void read_add(const Node& node);
  void read_mul(const Node& node);
  void read_concat(const Node& node);
  void read_pool(const Node& node);
  void read_global_average_pool(const Node& node);
  void read_reduce_mean(const Node& node);
  void read_gemm(const Node& node);
  void read_mat_mul(const Node& node);
  // Shapes and constants (onnx_import_shapes.cpp).
  void read_alias(const Node& node);
  void read_flatten(const Node& node);
  void read_reshape(const Node& node);
  void read_squeeze(const Node& node);
  void read_split(const Node& node);
  void read_slice(const Node& node);
  void read_resize(const Node& node);
  void read_constant(const Node& node);
  void read_shape(const Node& node);
  void read_gather(const Node& node);
  void read_unsqueeze(const Node& node);
  void read_cast(const Node& node);
  void read_constant_concat(const Node& node);

  // Integers (onnx_import_quantized.cpp).

  /// A constant behind DequantizeLinear.
  struct Dequantized {
    const onnx::TensorProto* integers = nullptr;
    std::vector<float> scales;  ///< one, or one an index of `axis`
    int64_t axis = 0;
  };
  /// A value behind QuantizeLinear: a tensor of the network as integers.
  struct Quantized {
    NodeId id = 0;
    TensorScale scale;
  };
  void read_quantize(const Node& node);
  void read_dequantize(const Node& node);
  void read_dequantized_constant(const Node& node, int64_t axis);
  TensorScale tensor_scale(const Node& node) const;
  std::vector<float> positive_scales(const Node& node) const;
  /// The constant as DequantizeLinear made it, or null.
  const Dequantized* dequantized(const onnx::TensorProto* constant) const;
  Tensor dequantized_values(const Node& node, const Dequantized& constant) const;
  /// Keeps the scales of a layer's weight and bias.
  void set_parameter_scales(const Node& node, NodeId id, const std::vector<Source>& sources);
  void set_bias_scales(const Node& node, NodeId id, const std::vector<Source>& sources);
  void check_float_bias(const Node& node, const std::vector<Source>& sources) const;
  void check_float_readers() const;
  void finish_quantization();
  void check_bias_scales() const;

  /// y = alpha x W + beta b, or with W^T.
  struct LinearSource {
    const onnx::TensorProto* weight = nullptr;
    bool transposed = false;  ///< true: the file holds [out, in], as Linear does
    double alpha = 1.0;
    const onnx::TensorProto* bias = nullptr;
    double beta = 1.0;
  };
  NodeId add_linear(const Node& node, const LinearSource& source);
  NodeId add_product(const Node& node, const onnx::TensorProto* bias);
  void read_shuffle(const Node& node, int first);
  int64_t square_window(const Node& node, const char* what,
                        const std::vector<int64_t>& values) const;
  int64_t symmetric_padding(const Node& node, const std::vector<int64_t>& kernel, int64_t stride,
                            onnx_reader::Attributes& attributes, const Shape& image) const;

  const onnx::GraphProto& graph_;
  OnnxLimits limits_;
  OnnxPatterns patterns_;
  int index_ = 0;  ///< of the node being read
  Network network_;
  Weights weights_;
  int64_t weight_values_ = 0;
  std::map<std::string, NodeId> tensors_;
  std::map<NodeId, std::vector<std::string>> names_;  ///< of each tensor, in the file's order
  std::set<const onnx::NodeProto*> aliases_;          ///< nodes that only name a tensor anew
  std::set<std::string> rounded_;                     ///< names of what DequantizeLinear makes
  std::map<std::string, const onnx::TensorProto*> constants_;
  std::set<std::string> defined_;  ///< every value so far, those inside patterns too
  std::vector<std::unique_ptr<onnx::TensorProto>> owned_;
  std::set<std::string> node_names_;
  mutable std::map<std::string, int> name_suffixes_;
  /// Which initialiser a parameter name stands for, and the seed of random ones.
  std::map<std::string, const onnx::TensorProto*> parameter_sources_;
  std::map<std::string, uint64_t> random_parameters_;

  bool is_quantized_ = false;  ///< any QuantizeLinear or DequantizeLinear
  std::map<std::string, Quantized> quantized_;
  std::map<const onnx::TensorProto*, Dequantized> dequantized_;
  std::map<NodeId, TensorScale> output_scales_;
  std::map<std::string, std::vector<float>> weight_scales_;
  /// By layer: its bias' scales, and where they stand.
  std::map<NodeId, std::pair<std::vector<float>, const Node*>> bias_scales_;
};

}  // namespace lathe::network
