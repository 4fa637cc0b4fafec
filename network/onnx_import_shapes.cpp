#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "network/onnx_importer.h"

namespace lathe::network {

using onnx_reader::Attributes;
using onnx_reader::fail;
using onnx_reader::printable;

namespace {

/// Shapes computed in the graph are short.
constexpr size_t kMaxComputedIntegers = 64;

/// Replaces 0 (copy) and -1 (what is left) as Reshape does; nothing if the element counts cannot
/// agree.
std::optional<Shape> resolve_reshape(const Shape& from, const std::vector<int64_t>& target,
                                     bool zero_copies) {
  const int64_t total = element_count(from);
  Shape result;
  std::optional<size_t> open;
  int64_t known = 1;
  for (size_t i = 0; i < target.size(); ++i) {
    int64_t dimension = target[i];
    if (dimension == 0 && zero_copies) dimension = i < from.size() ? from[i] : 0;
    if (dimension == -1 && !open) {
      open = i;
      result.push_back(-1);
      continue;
    }
    if (dimension < 1 || dimension > total / known) return std::nullopt;
    known *= dimension;
    result.push_back(dimension);
  }
  if (open) {
    if (total % known != 0) return std::nullopt;
    result[*open] = total / known;
    known = total;
  }
  return known == total ? std::optional<Shape>(result) : std::nullopt;
}

/// Returns `index` counted from the front, or nothing if it is outside of [0, size).
std::optional<int64_t> wrapped(int64_t index, int64_t size) {
  if (index < -size || index >= size) return std::nullopt;
  return index < 0 ? index + size : index;
}

/// Clamps a slice bound as ONNX does: negative bounds count from the end.
int64_t clamped_bound(int64_t bound, int64_t size) {
  if (bound < 0) bound = bound < -size ? 0 : bound + size;
  return std::min(bound, size);
}

}  // namespace

std::optional<std::vector<int64_t>> OnnxImporter::integers(const Node& node, int index,
                                                           const char* name,
                                                           Attributes& attributes) const {
  const onnx::TensorProto* tensor = constant_input(node, index);
  if (tensor != nullptr) return onnx_reader::read_integers(*tensor);
  return attributes.integers(name);
}

/// Identity and, at inference, Dropout: the output is another name of the input.
void OnnxImporter::read_alias(const Node& node) {
  Attributes attributes(node);
  for (const char* name : {"ratio", "seed"}) attributes.ignore(name);
  attributes.finish();
  require_outputs(node, 1);
  if (node.op_type() == "Dropout" && node.input_size() == 3 && !node.input(2).empty()) {
    fail(node, "a training mode is not supported");
  }
  if (node.input_size() > 0 && is_constant(node.input(0))) {
    return set_constant(node, constants_.at(node.input(0)));
  }
  set_tensor(node, tensor_input(node, 0));
}

void OnnxImporter::read_flatten(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  const int64_t axis = attributes.integer("axis", 1);
  attributes.finish();
  const auto rank = static_cast<int64_t>(shape_of(input).size());
  if (axis != 1 && axis != 1 - rank) {
    fail(node, "axis = " + std::to_string(axis) + ", expected 1");
  }
  set_tensor(node, add(node, unique_node_name(node), Flatten{}, {input}));
}

void OnnxImporter::read_reshape(const Node& node) {
  const auto shuffle = patterns_.shuffles.find(index_);
  if (shuffle != patterns_.shuffles.end()) return read_shuffle(node, shuffle->second);
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  const bool zero_copies = attributes.integer("allowzero", 0) == 0;
  attributes.finish();
  const Shape& from = shape_of(input);
  const auto target = onnx_reader::read_integers(required_constant(node, 1));
  const auto shape = resolve_reshape(from, target, zero_copies);
  if (shape && *shape == from) return set_tensor(node, input);
  if (shape && *shape == Shape{from[0], element_count(from)}) {
    return set_tensor(node, add(node, unique_node_name(node), Flatten{}, {input}));
  }
  fail(node, "input " + to_string(from) + ", shape " + to_string(target) +
                 ": neither a flattening nor a channel shuffle");
}

/// [N, C, H, W] as [N, g, C / g, H, W], transposed, and back.
void OnnxImporter::read_shuffle(const Node& node, int first) {
  const Node& split = graph_.node(first);
  const NodeId input = tensor_input(split, 0);
  const Shape& from = shape_of(input);
  require_outputs(node, 1);
  for (const Node* reshape : {&split, &node}) {
    Attributes attributes(*reshape);
    attributes.require("allowzero", 0, 0);
    attributes.finish();
  }
  const auto groups_shape = onnx_reader::read_integers(required_constant(split, 1));
  const auto back_shape = onnx_reader::read_integers(required_constant(node, 1));
  const auto apart = resolve_reshape(from, groups_shape, true);
  bool good = from.size() == 4 && apart && apart->size() == 5 && (*apart)[0] == from[0] &&
              (*apart)[3] == from[2] && (*apart)[4] == from[3];
  if (good) {
    const Shape swapped = {(*apart)[0], (*apart)[2], (*apart)[1], (*apart)[3], (*apart)[4]};
    const auto back = resolve_reshape(swapped, back_shape, true);
    good = back && *back == from;
  }
  if (!good) {
    fail(node, "input " + to_string(from) + ", shapes " + to_string(groups_shape) + " and " +
                   to_string(back_shape) + ": not a channel shuffle");
  }
  set_tensor(node, add(node, unique_node_name(node), ChannelShuffle{(*apart)[1]}, {input}));
}

/// [N, C, 1, 1] -> [N, C].
void OnnxImporter::read_squeeze(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  std::vector<int64_t> axes =
      integers(node, 1, "axes", attributes).value_or(std::vector<int64_t>());
  attributes.finish();
  for (int64_t& axis : axes) axis = axis < 0 ? axis + 4 : axis;
  std::sort(axes.begin(), axes.end());
  const Shape& from = shape_of(input);
  if (from.size() != 4 || from[2] != 1 || from[3] != 1 || axes != std::vector<int64_t>{2, 3}) {
    fail(node, "input " + to_string(from) + ", axes " + to_string(axes) +
                   ", expected [1, C, 1, 1] and [2, 3]");
  }
  set_tensor(node, add(node, unique_node_name(node), Flatten{}, {input}));
}

void OnnxImporter::read_split(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  Attributes attributes(node);
  const int64_t axis = attributes.integer("axis", 0);
  attributes.ignore("num_outputs");
  const auto given = integers(node, 1, "split", attributes);
  attributes.finish();
  const Shape from = shape_of(input);
  if (from.size() != 4 || (axis != 1 && axis != -3)) {
    fail(node, "input " + to_string(from) + ", axis " + std::to_string(axis) +
                   ", expected an image and axis 1");
  }
  const int64_t count = node.output_size();
  if (count < 1 || static_cast<size_t>(count) > limits_.max_nodes) {
    fail(node, std::to_string(count) + " outputs, expected at least one");
  }
  const std::vector<int64_t> equal(static_cast<size_t>(count), from[1] / count);
  const std::vector<int64_t> sizes = given.value_or(equal);
  int64_t begin = 0;
  for (const int64_t size : sizes) begin += size > 0 && size <= from[1] ? size : from[1] + 1;
  if (static_cast<int64_t>(sizes.size()) != count || begin != from[1]) {
    fail(node, "input " + to_string(from) + ", split " + to_string(sizes) + " into " +
                   std::to_string(count) + " outputs: sizes differ");
  }
  const std::string base = unique_node_name(node);
  begin = 0;
  for (int i = 0; i < node.output_size(); ++i) {
    const int64_t end = begin + sizes[static_cast<size_t>(i)];
    if (!node.output(i).empty()) {
      const std::string name = unique_name(base + "." + std::to_string(i));
      set_tensor(node, add(node, name, ChannelSlice{begin, end}, {input}), i);
    }
    begin = end;
  }
}

void OnnxImporter::read_slice(const Node& node) {
  Attributes attributes(node);
  const auto starts = integers(node, 1, "starts", attributes);
  const auto ends = integers(node, 2, "ends", attributes);
  auto axes = integers(node, 3, "axes", attributes);
  attributes.finish();
  const onnx::TensorProto* steps = constant_input(node, 4);
  require_outputs(node, 1);
  if (!starts || !ends) fail(node, "starts or ends are missing");
  if (starts->size() != 1 || ends->size() != 1 || (axes && axes->size() != 1)) {
    fail(node, "starts " + to_string(*starts) + ", ends " + to_string(*ends) +
                   ", expected one channel range");
  }
  if (steps != nullptr && onnx_reader::read_integers(*steps) != std::vector<int64_t>{1}) {
    fail(node, "steps " + to_string(onnx_reader::read_integers(*steps)) + ", expected [1]");
  }
  const int64_t axis = axes ? (*axes)[0] : 0;
  if (node.input_size() > 0 && is_constant(node.input(0))) {
    const auto values = onnx_reader::read_integers(required_constant(node, 0));
    const auto size = static_cast<int64_t>(values.size());
    const int64_t begin = clamped_bound((*starts)[0], size);
    const int64_t end = std::max(begin, clamped_bound((*ends)[0], size));
    if (axis != 0) fail(node, "axis = " + std::to_string(axis) + ", expected 0");
    const int64_t* data = values.data();
    return set_integers(node, {data + begin, data + end}, false);
  }
  const NodeId input = tensor_input(node, 0);
  const Shape& from = shape_of(input);
  if (from.size() != 4 || (axis != 1 && axis != -3)) {
    fail(node, "input " + to_string(from) + ", axis " + std::to_string(axis) +
                   ", expected an image and axis 1");
  }
  const ChannelSlice op{clamped_bound((*starts)[0], from[1]), clamped_bound((*ends)[0], from[1])};
  set_tensor(node, add(node, unique_node_name(node), op, {input}));
}

void OnnxImporter::read_resize(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  const std::string mode = attributes.text("mode", "nearest");
  const std::string centres = attributes.text("coordinate_transformation_mode", "half_pixel");
  attributes.require("exclude_outside", 0, 0);
  attributes.require("antialias", 0, 0);
  for (const char* name : {"cubic_coeff_a", "nearest_mode", "extrapolation_value"}) {
    attributes.ignore(name);
  }
  attributes.finish();
  const Shape& from = shape_of(input);
  Shape to = from;
  const onnx::TensorProto* sizes = constant_input(node, 3);
  const onnx::TensorProto* scales = constant_input(node, 2);
  if (sizes != nullptr) {
    to = onnx_reader::read_integers(*sizes);
  } else if (scales != nullptr) {
    const Tensor factors = onnx_reader::read_floats(*scales, 4);
    if (factors.shape != Shape{4} || from.size() != 4) fail(node, "expected four scales");
    for (size_t i = 0; i < 4; ++i) {
      const float size = std::floor(static_cast<float>(from[i]) * factors.values[i]);
      const auto largest = static_cast<float>(limits_.max_activation_elements);
      to[i] = size >= 1.0F && size <= largest ? static_cast<int64_t>(size) : 0;
    }
  } else {
    fail(node, "expected constant sizes or scales (of operator set 11 or newer)");
  }
  const bool half_pixel = centres == "half_pixel" || centres == "pytorch_half_pixel";
  if (mode != "linear" || !half_pixel) {
    fail(node, "mode " + printable(mode) + ", coordinates " + printable(centres) +
                   ", expected linear and half_pixel");
  }
  if (from.size() != 4 || to.size() != 4 || to[0] != from[0] || to[1] != from[1]) {
    fail(node, "input " + to_string(from) + ", output " + to_string(to) +
                   ", expected a change of height and width alone");
  }
  // The two kinds of centres differ only for a single row or column.
  if (centres != "half_pixel" && (to[2] == 1 || to[3] == 1)) {
    fail(node, "output " + to_string(to) + " with " + centres + ", expected half_pixel");
  }
  // Centres are placed by the scale that is written, which is lathe's only if nothing was rounded.
  for (size_t i = 2; i < 4 && sizes == nullptr; ++i) {
    const float scale = onnx_reader::read_floats(*scales, 4).values[i];
    const auto size = static_cast<double>(to[i]);
    const double unrounded = static_cast<double>(scale) * static_cast<double>(from[i]);
    if (size == 0.0 || std::abs(unrounded - size) <= 1e-4 * size) continue;
    fail(node,
         "scale " + std::to_string(scale) + " of " + std::to_string(from[i]) +
             ", expected a whole size; export with sizes (interpolate's size, not scale_factor)");
  }
  set_tensor(node, add(node, unique_node_name(node), Resize{to[2], to[3]}, {input}));
}

// Constants, and shapes computed from constants: other exporters write the target of a Reshape so.

void OnnxImporter::set_integers(const Node& node, const std::vector<int64_t>& values, bool scalar) {
  if (values.size() > kMaxComputedIntegers) {
    fail(node, std::to_string(values.size()) + " integers, expected at most " +
                   std::to_string(kMaxComputedIntegers));
  }
  auto tensor = std::make_unique<onnx::TensorProto>();
  tensor->set_name(node.output_size() > 0 ? node.output(0) : "");
  tensor->set_data_type(onnx::TensorProto::INT64);
  if (!scalar) tensor->add_dims(static_cast<int64_t>(values.size()));
  for (const int64_t value : values) tensor->add_int64_data(value);
  owned_.push_back(std::move(tensor));
  set_constant(node, owned_.back().get());
}

void OnnxImporter::read_constant(const Node& node) {
  Attributes attributes(node);
  const onnx::TensorProto* value = attributes.tensor("value");
  if (value != nullptr) {
    attributes.finish();
    owned_.push_back(std::make_unique<onnx::TensorProto>(*value));
    if (node.output_size() > 0) owned_.back()->set_name(node.output(0));
    return set_constant(node, owned_.back().get());
  }
  if (attributes.has("value_int")) {
    const int64_t single = attributes.integer("value_int", 0);
    attributes.finish();
    return set_integers(node, {single}, true);
  }
  const auto list = attributes.integers("value_ints");
  if (list) {
    attributes.finish();
    return set_integers(node, *list, false);
  }
  if (!attributes.has("value_float")) {
    fail(node, "no value, expected one of value, value_float, value_int, value_ints");
  }
  auto tensor = std::make_unique<onnx::TensorProto>();
  tensor->set_name(node.output_size() > 0 ? node.output(0) : "");
  tensor->set_data_type(onnx::TensorProto::FLOAT);
  tensor->add_float_data(static_cast<float>(attributes.real("value_float", 0.0)));
  attributes.finish();
  owned_.push_back(std::move(tensor));
  set_constant(node, owned_.back().get());
}

void OnnxImporter::read_shape(const Node& node) {
  const NodeId input = tensor_input(node, 0);
  Attributes(node).finish();
  set_integers(node, shape_of(input), false);
}

void OnnxImporter::read_gather(const Node& node) {
  Attributes attributes(node);
  attributes.require("axis", 0, 0);
  attributes.finish();
  const auto values = onnx_reader::read_integers(required_constant(node, 0));
  const onnx::TensorProto& indices = required_constant(node, 1);
  std::vector<int64_t> taken;
  for (const int64_t index : onnx_reader::read_integers(indices)) {
    const auto at = wrapped(index, static_cast<int64_t>(values.size()));
    if (!at) {
      fail(node,
           "index " + std::to_string(index) + " of " + std::to_string(values.size()) + " values");
    }
    taken.push_back(values[static_cast<size_t>(*at)]);
  }
  set_integers(node, taken, indices.dims_size() == 0);
}

void OnnxImporter::read_unsqueeze(const Node& node) {
  Attributes attributes(node);
  const auto axes = integers(node, 1, "axes", attributes);
  attributes.finish();
  const onnx::TensorProto& scalar = required_constant(node, 0);
  if (scalar.dims_size() != 0 || axes != std::vector<int64_t>{0}) {
    fail(node, "expected a constant scalar and axes [0]");
  }
  set_integers(node, onnx_reader::read_integers(scalar), false);
}

void OnnxImporter::read_cast(const Node& node) {
  Attributes attributes(node);
  attributes.require("to", 0, onnx::TensorProto::INT64);
  attributes.ignore("saturate");
  attributes.finish();
  const onnx::TensorProto& value = required_constant(node, 0);
  set_integers(node, onnx_reader::read_integers(value), value.dims_size() == 0);
}

void OnnxImporter::read_constant_concat(const Node& node) {
  Attributes attributes(node);
  attributes.require("axis", 0, 0);
  attributes.finish();
  std::vector<int64_t> joined;
  for (int i = 0; i < node.input_size() && joined.size() <= kMaxComputedIntegers; ++i) {
    const auto part = onnx_reader::read_integers(required_constant(node, i));
    joined.insert(joined.end(), part.begin(), part.end());
  }
  set_integers(node, joined, false);
}

}  // namespace lathe::network
