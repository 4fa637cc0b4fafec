#include "network/onnx_wire.h"

#include <cstdint>

#include "core/error.h"

namespace lathe::network {
namespace {

// Field numbers of onnx.proto.
constexpr uint64_t kGraph = 7;
constexpr uint64_t kInitializer = 5;
constexpr uint64_t kFloatData = 4;
constexpr uint64_t kRawData = 9;

/// Walks the fields of one protobuf message without building it. Stops at the first malformed one.
class WireReader {
 public:
  WireReader(const char* begin, const char* end) : at_(begin), end_(end) {}

  /// Moves to the next field; false at the end.
  bool next() {
    uint64_t tag = 0;
    if (at_ == end_ || !varint(tag)) return false;
    field_ = tag >> 3;
    uint64_t size = 0;
    switch (tag & 7) {
      case 0:
        begin_ = at_;
        return varint(size);
      case 1:
        size = 8;
        break;
      case 2:
        if (!varint(size)) return false;
        break;
      case 5:
        size = 4;
        break;
      default:
        return false;
    }
    if (size > static_cast<uint64_t>(end_ - at_)) return false;
    begin_ = at_;
    at_ += size;
    return true;
  }
  uint64_t field() const { return field_; }
  WireReader content() const { return {begin_, at_}; }
  size_t size() const { return static_cast<size_t>(at_ - begin_); }

 private:
  bool varint(uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= uint64_t{byte & 127U} << shift;
      if (byte < 128) return true;
    }
    return false;
  }
  const char* at_;
  const char* end_;
  const char* begin_ = nullptr;
  uint64_t field_ = 0;
};

}  // namespace

void check_graph_bytes(const std::string& bytes, size_t limit) {
  size_t values = 0;
  WireReader model(bytes.data(), bytes.data() + bytes.size());
  while (model.next()) {
    WireReader graph = model.content();
    while (model.field() == kGraph && graph.next()) {
      WireReader tensor = graph.content();
      while (graph.field() == kInitializer && tensor.next()) {
        const bool is_value = tensor.field() == kFloatData || tensor.field() == kRawData;
        if (is_value && tensor.size() > sizeof(float)) values += tensor.size();
      }
    }
  }
  if (bytes.size() - values > limit) {
    throw DataError("onnx: " + std::to_string(bytes.size() - values) +
                    " bytes besides weight values, expected at most " + std::to_string(limit));
  }
}

}  // namespace lathe::network
