#include "latency/fleet/mdns_message.h"

#include <arpa/inet.h>

#include <cctype>
#include <optional>

#include "core/error.h"

namespace lathe::latency::mdns {
namespace {

constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kUnicastAnswer = 0x8000;
constexpr int kMaxPointers = 32;
constexpr size_t kMaxName = 255;

void put16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8U);
  out += static_cast<char>(value & 0xFFU);
}

/// The labels between the dots; nothing if one is empty or too long, as in the root's name.
std::vector<std::string> labels_of(const std::string& name) {
  std::vector<std::string> labels;
  size_t begin = 0;
  while (begin <= name.size()) {
    const size_t end = std::min(name.find('.', begin), name.size());
    if (end == begin || end - begin > 63) return {};
    labels.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return labels;
}

void put_name(std::string& out, const std::string& name) {
  const std::vector<std::string> labels = labels_of(name);
  if (labels.empty()) {
    throw InvariantError("mdns: name = " + name + ", expected labels of 1 to 63 characters");
  }
  for (const std::string& label : labels) {
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
}

/// A cursor over untrusted bytes; ok() turns false at the first read outside and stays so.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  size_t position() const { return position_; }
  void skip_to(size_t position) { position_ = position; }

  uint8_t get8() {
    if (position_ >= bytes_.size()) {
      ok_ = false;
      return 0;
    }
    return static_cast<uint8_t>(bytes_[position_++]);
  }
  uint16_t get16() {
    const auto high = static_cast<uint16_t>(get8() << 8U);
    return static_cast<uint16_t>(high | get8());
  }
  std::string get(size_t length) {
    if (position_ > bytes_.size() || length > bytes_.size() - position_) {
      ok_ = false;
      return "";
    }
    position_ += length;
    return bytes_.substr(position_ - length, length);
  }

  std::string get_name() {
    std::string name;
    size_t after = 0;  // of the first pointer: where reading goes on
    int pointers = 0;
    while (ok_) {
      const uint8_t length = get8();
      if (!ok_ || length == 0) break;
      if ((length & 0xC0U) == 0xC0U) {
        const size_t target = ((length & 0x3FU) << 8U) | get8();
        if (after == 0) after = position_;
        ok_ = ok_ && ++pointers <= kMaxPointers;
        position_ = target;
        continue;
      }
      ok_ = ok_ && length <= 63 && name.size() + length < kMaxName;
      const std::string label = get(length);
      if (!name.empty()) name += '.';
      for (const char c : label)
        name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (after != 0) position_ = after;
    return name;
  }

 private:
  const std::string& bytes_;
  size_t position_ = 0;
  bool ok_ = true;
};

std::vector<std::string> read_texts(Reader& reader, size_t end) {
  std::vector<std::string> texts;
  while (reader.ok() && reader.position() < end) {
    std::string text = reader.get(reader.get8());
    if (!text.empty()) texts.push_back(std::move(text));
  }
  return texts;
}

/// Reads one record; nothing if its type does not matter. The reader is not ok() if it is
/// malformed.
std::optional<Record> read_record(Reader& reader) {
  Record record;
  record.name = reader.get_name();
  const uint16_t type = reader.get16();
  reader.get16();  // class, with the cache-flush bit
  reader.get16();
  reader.get16();  // time to live
  const size_t length = reader.get16();
  const size_t end = reader.position() + length;
  record.type = static_cast<RecordType>(type);
  bool known = true;
  switch (record.type) {
    case RecordType::A: {
      const std::string bytes = reader.get(length);
      char text[INET_ADDRSTRLEN] = "";
      known = bytes.size() == 4 && inet_ntop(AF_INET, bytes.data(), text, sizeof text) != nullptr;
      record.ipv4 = text;
      break;
    }
    case RecordType::Ptr:
      record.target = reader.get_name();
      known = !labels_of(record.target).empty();  // else nobody could ask about it
      break;
    case RecordType::Srv:
      reader.get16();  // priority
      reader.get16();  // weight
      record.port = reader.get16();
      record.target = reader.get_name();
      known = !labels_of(record.target).empty();
      break;
    case RecordType::Txt:
      record.texts = read_texts(reader, end);
      break;
    default:
      known = false;
      reader.get(length);
      break;
  }
  if (!reader.ok() || reader.position() > end) {
    reader.get(std::string::npos);  // data that runs over its record: nothing here can be trusted
    return std::nullopt;
  }
  reader.skip_to(end);
  if (!known) return std::nullopt;
  return record;
}

}  // namespace

std::string encode_query(const std::vector<std::pair<std::string, RecordType>>& questions) {
  std::string message;
  put16(message, 0);
  put16(message, 0);
  put16(message, static_cast<uint16_t>(questions.size()));
  put16(message, 0);
  put16(message, 0);
  put16(message, 0);
  for (const auto& [name, type] : questions) {
    put_name(message, name);
    put16(message, static_cast<uint16_t>(type));
    put16(message, kUnicastAnswer | kClassInternet);
  }
  return message;
}

std::vector<Record> decode_response(const std::string& message) {
  Reader reader(message);
  reader.get16();
  const bool response = (reader.get16() & 0x8000U) != 0;
  const int questions = reader.get16();
  const int answers = reader.get16() + reader.get16() + reader.get16();
  if (!response) return {};
  for (int i = 0; i < questions && reader.ok(); ++i) {
    reader.get_name();
    reader.get16();
    reader.get16();
  }
  std::vector<Record> records;
  for (int i = 0; i < answers && reader.ok(); ++i) {
    std::optional<Record> record = read_record(reader);
    if (record) records.push_back(std::move(*record));
  }
  if (!reader.ok()) return {};
  return records;
}

}  // namespace lathe::latency::mdns
