#include "network/onnx_proto_reader.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace lathe::network::onnx_reader {
namespace {

constexpr size_t kShownCharacters = 80;
constexpr int64_t kMaxIntegers = 1024;

std::string where(const onnx::TensorProto& tensor) { return "tensor " + printable(tensor.name()); }

[[noreturn]] void fail_tensor(const onnx::TensorProto& tensor, const std::string& what) {
  throw DataError(where(tensor) + ": " + what);
}

/// Copies raw little-endian bytes; lathe's hosts and boards are little-endian.
template <typename T>
std::vector<T> from_raw(const onnx::TensorProto& tensor, size_t count) {
  const std::string& raw = tensor.raw_data();
  if (raw.size() != count * sizeof(T)) {
    fail_tensor(tensor, std::to_string(raw.size()) + " bytes of raw data, expected " +
                            std::to_string(count * sizeof(T)));
  }
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

template <typename T, typename Field>
std::vector<T> from_field(const onnx::TensorProto& tensor, const Field& field, size_t count) {
  if (static_cast<size_t>(field.size()) != count) {
    fail_tensor(tensor,
                std::to_string(field.size()) + " values, expected " + std::to_string(count));
  }
  return std::vector<T>(field.begin(), field.end());
}

void require_inside(const onnx::TensorProto& tensor) {
  if (tensor.has_segment()) fail_tensor(tensor, "segmented data is not supported");
  if (random_seed(tensor)) fail_tensor(tensor, "random values, expected values in the file");
}

}  // namespace

std::string printable(const std::string& name) {
  std::string shown = name.substr(0, kShownCharacters);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '_';
  }
  return name.size() > kShownCharacters ? shown + "..." : shown;
}

std::string type_name(int32_t type) {
  if (!onnx::TensorProto::DataType_IsValid(type)) return std::to_string(type);
  return onnx::TensorProto::DataType_Name(static_cast<onnx::TensorProto::DataType>(type));
}

std::string describe(const onnx::NodeProto& node) {
  std::string name = node.name();
  if (name.empty() && node.output_size() > 0) name = node.output(0);
  return printable(node.op_type()) + " " + printable(name);
}

void fail(const onnx::NodeProto& node, const std::string& what) {
  throw DataError(describe(node) + ": " + what);
}

Attributes::Attributes(const onnx::NodeProto& node)
    : node_(node), read_(static_cast<size_t>(node.attribute_size()), false) {}

const onnx::AttributeProto* Attributes::find(const char* name, int type) {
  const onnx::AttributeProto* found = nullptr;
  for (int i = 0; i < node_.attribute_size(); ++i) {
    const onnx::AttributeProto& attribute = node_.attribute(i);
    if (attribute.name() != name) continue;
    if (found != nullptr) fail(node_, std::string("attribute ") + name + " is given twice");
    if (attribute.type() != type) {
      fail(node_, std::string("attribute ") + name + " has type " +
                      onnx::AttributeProto::AttributeType_Name(attribute.type()) + ", expected " +
                      onnx::AttributeProto::AttributeType_Name(
                          static_cast<onnx::AttributeProto::AttributeType>(type)));
    }
    if (!attribute.ref_attr_name().empty()) {
      fail(node_, std::string("attribute ") + name + " refers to a function's attribute");
    }
    read_[static_cast<size_t>(i)] = true;
    found = &attribute;
  }
  return found;
}

bool Attributes::has(const char* name) const {
  for (const onnx::AttributeProto& attribute : node_.attribute()) {
    if (attribute.name() == name) return true;
  }
  return false;
}

int64_t Attributes::integer(const char* name, int64_t fallback) {
  const onnx::AttributeProto* found = find(name, onnx::AttributeProto::INT);
  return found == nullptr ? fallback : found->i();
}

double Attributes::real(const char* name, double fallback) {
  const onnx::AttributeProto* found = find(name, onnx::AttributeProto::FLOAT);
  return found == nullptr ? fallback : decimal(found->f());
}

std::string Attributes::text(const char* name, const std::string& fallback) {
  const onnx::AttributeProto* found = find(name, onnx::AttributeProto::STRING);
  return found == nullptr ? fallback : found->s();
}

std::optional<std::vector<int64_t>> Attributes::integers(const char* name) {
  const onnx::AttributeProto* found = find(name, onnx::AttributeProto::INTS);
  if (found == nullptr) return std::nullopt;
  if (found->ints_size() > kMaxIntegers) {
    fail(node_, std::string("attribute ") + name + " has " + std::to_string(found->ints_size()) +
                    " values, expected at most " + std::to_string(kMaxIntegers));
  }
  return std::vector<int64_t>(found->ints().begin(), found->ints().end());
}

const onnx::TensorProto* Attributes::tensor(const char* name) {
  const onnx::AttributeProto* found = find(name, onnx::AttributeProto::TENSOR);
  return found == nullptr ? nullptr : &found->t();
}

void Attributes::require(const char* name, int64_t fallback, int64_t expected) {
  const int64_t value = integer(name, fallback);
  if (value == expected) return;
  fail(node_, std::string(name) + " = " + std::to_string(value) + ", expected " +
                  std::to_string(expected));
}

void Attributes::ignore(const char* name) {
  for (int i = 0; i < node_.attribute_size(); ++i) {
    if (node_.attribute(i).name() == name) read_[static_cast<size_t>(i)] = true;
  }
}

void Attributes::finish() const {
  for (int i = 0; i < node_.attribute_size(); ++i) {
    if (read_[static_cast<size_t>(i)]) continue;
    fail(node_, "attribute " + printable(node_.attribute(i).name()) + " is not supported");
  }
}

Shape tensor_shape(const onnx::TensorProto& tensor, int64_t max_elements) {
  const Shape shape(tensor.dims().begin(), tensor.dims().end());
  const bool may_be_empty = shape.size() == 1 && tensor.data_type() != onnx::TensorProto::FLOAT;
  int64_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension < (may_be_empty ? 0 : 1)) {
      fail_tensor(tensor, "dimension " + std::to_string(dimension) + ", expected a positive one");
    }
    if (dimension > max_elements / std::max<int64_t>(count, 1)) {
      fail_tensor(tensor, "more than " + std::to_string(max_elements) + " values");
    }
    count *= dimension;
  }
  return shape;
}

std::optional<uint64_t> random_seed(const onnx::TensorProto& tensor) {
  if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return std::nullopt;
  static const std::string kRandom = "lathe:random?seed=";
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() != "location") continue;
    const std::string& location = entry.value();
    const char* end = location.data() + location.size();
    uint64_t seed = 0;
    if (location.compare(0, kRandom.size(), kRandom) == 0) {
      const auto [rest, error] = std::from_chars(location.data() + kRandom.size(), end, seed);
      if (error == std::errc() && rest == end) return seed;
    }
    fail_tensor(tensor, "external data at " + printable(location) +
                            ", expected values in the file or lathe:random?seed=N");
  }
  fail_tensor(tensor, "external data without a location");
}

Tensor read_floats(const onnx::TensorProto& tensor, int64_t max_elements) {
  if (tensor.data_type() != onnx::TensorProto::FLOAT) {
    fail_tensor(tensor, "data type " + type_name(tensor.data_type()) + ", expected FLOAT");
  }
  require_inside(tensor);
  Tensor result{tensor_shape(tensor, max_elements), {}};
  const auto count = static_cast<size_t>(element_count(result.shape));
  result.values = tensor.has_raw_data() ? from_raw<float>(tensor, count)
                                        : from_field<float>(tensor, tensor.float_data(), count);
  for (size_t i = 0; i < count; ++i) {
    if (std::isfinite(result.values[i])) continue;
    fail_tensor(tensor, "value " + std::to_string(i) + " is " + std::to_string(result.values[i]) +
                            ", expected a finite number");
  }
  return result;
}

void read_quantized(const onnx::TensorProto& tensor, int64_t max_elements,
                    const std::function<void(int32_t)>& take) {
  require_inside(tensor);
  const auto count = static_cast<size_t>(element_count(tensor_shape(tensor, max_elements)));
  const auto take_all = [&](auto zero) {
    using Value = decltype(zero);
    if (tensor.has_raw_data()) {
      for (const Value value : from_raw<Value>(tensor, count)) take(value);
    } else {
      for (const int32_t value : from_field<int32_t>(tensor, tensor.int32_data(), count)) {
        take(static_cast<Value>(value));
      }
    }
  };
  switch (tensor.data_type()) {
    case onnx::TensorProto::INT8:
      return take_all(int8_t{0});
    case onnx::TensorProto::UINT8:
      return take_all(uint8_t{0});
    case onnx::TensorProto::INT32:
      return take_all(int32_t{0});
    default:
      fail_tensor(tensor,
                  "data type " + type_name(tensor.data_type()) + ", expected INT8, UINT8 or INT32");
  }
}

std::vector<int64_t> read_integers(const onnx::TensorProto& tensor) {
  const bool narrow = tensor.data_type() == onnx::TensorProto::INT32;
  if (tensor.data_type() != onnx::TensorProto::INT64 && !narrow) {
    fail_tensor(tensor, "data type " + type_name(tensor.data_type()) + ", expected INT64");
  }
  require_inside(tensor);
  const auto count = static_cast<size_t>(element_count(tensor_shape(tensor, kMaxIntegers)));
  if (!narrow) {
    return tensor.has_raw_data() ? from_raw<int64_t>(tensor, count)
                                 : from_field<int64_t>(tensor, tensor.int64_data(), count);
  }
  if (!tensor.has_raw_data()) return from_field<int64_t>(tensor, tensor.int32_data(), count);
  const std::vector<int32_t> values = from_raw<int32_t>(tensor, count);
  return {values.begin(), values.end()};
}

double decimal(float value) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, value);
  double result = 0.0;
  std::from_chars(text, written.ptr, result);
  return result;
}

}  // namespace lathe::network::onnx_reader
