#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>

#include "core/config.h"
#include "core/config_tree.h"
#include "core/text.h"

namespace lathe {
namespace {

using config_detail::ConfigNode;
using config_detail::Location;
using config_detail::Member;
using config_detail::NodeKind;
using config_detail::NodeState;
using config_detail::ScalarType;

constexpr double kRealLimit = 1e308;

std::string shortest(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string duration_text(double seconds) {
  if (seconds <= 0.0) return "0s";
  if (seconds < 1e-3) return shortest(seconds * 1e6) + "us";
  if (seconds < 1.0) return shortest(seconds * 1e3) + "ms";
  const double hours = seconds / 3600.0;
  if (hours >= 1.0 && hours == static_cast<double>(static_cast<int64_t>(hours))) {
    return shortest(hours) + "h";
  }
  const double minutes = seconds / 60.0;
  if (minutes >= 1.0 && minutes == static_cast<double>(static_cast<int64_t>(minutes))) {
    return shortest(minutes) + "min";
  }
  return shortest(seconds) + "s";
}

/// Completes "an integer" by the ends that are limited: " in [a, b]", " of at least a", " of at
/// most b".
std::string with_ends(const std::string& noun, const std::optional<std::string>& low,
                      const std::optional<std::string>& high, bool low_open) {
  if (low && high) return noun + " in " + (low_open ? "(" : "[") + *low + ", " + *high + "]";
  if (low) return noun + (low_open ? " above " : " of at least ") + *low;
  if (high) return noun + " of at most " + *high;
  return noun;
}

std::string describe(const std::string& noun, const IntegerRange& range) {
  using Limits = std::numeric_limits<int64_t>;
  std::optional<std::string> low;
  std::optional<std::string> high;
  if (range.low != Limits::min()) low = std::to_string(range.low);
  if (range.high != Limits::max()) high = std::to_string(range.high);
  const std::string multiple = "a multiple of " + std::to_string(range.multiple_of);
  return with_ends(range.multiple_of == 1 ? noun : multiple, low, high, false);
}

std::string describe(const std::string& noun, const RealRange& range,
                     const std::function<std::string(double)>& text) {
  std::optional<std::string> low;
  std::optional<std::string> high;
  if (range.low > -kRealLimit) low = text(range.low);
  if (range.high < kRealLimit) high = text(range.high);
  return with_ends(noun, low, high, range.low_open);
}

bool inside(int64_t value, const IntegerRange& range) {
  return value >= range.low && value <= range.high && value % range.multiple_of == 0;
}

bool inside(double value, const RealRange& range) {
  return (range.low_open ? value > range.low : value >= range.low) && value <= range.high;
}

/// Reads one scalar: the value, or nothing if it does not fit; `expected` says what would.
template <typename T>
struct ScalarReader {
  std::string expected;  ///< "an integer in [1, 8]"
  std::function<std::optional<T>(const ConfigNode&)> read;
  /// An expectation made for one wrong value, when it helps more than the general one.
  std::function<std::string(const ConfigNode&)> hint;
};

/// Reads and checks a scalar of a unit reader: a size, count or duration.
template <typename T, typename Range>
std::optional<T> checked(const std::optional<T>& value, const Range& range) {
  if (!value || !inside(*value, range)) return std::nullopt;
  return value;
}

ScalarReader<int64_t> integer_reader(const IntegerRange& range) {
  return {describe("an integer", range),
          [range](const ConfigNode& node) -> std::optional<int64_t> {
            if (scalar_type(node) != ScalarType::Integer) return std::nullopt;
            return checked(config_detail::parse_integer(node.scalar), range);
          },
          nullptr};
}

ScalarReader<double> real_reader(const RealRange& range) {
  return {describe("a number", range, shortest),
          [range](const ConfigNode& node) -> std::optional<double> {
            const ScalarType type = scalar_type(node);
            if (type != ScalarType::Integer && type != ScalarType::Real) return std::nullopt;
            return checked(config_detail::parse_real(node.scalar), range);
          },
          nullptr};
}

ScalarReader<bool> boolean_reader() {
  return {"true or false",
          [](const ConfigNode& node) -> std::optional<bool> {
            if (scalar_type(node) != ScalarType::Boolean) return std::nullopt;
            return node.scalar == "true";
          },
          nullptr};
}

ScalarReader<std::string> text_reader() {
  return {"a text",
          [](const ConfigNode& node) -> std::optional<std::string> {
            if (scalar_type(node) != ScalarType::Text) return std::nullopt;
            return node.scalar;
          },
          [](const ConfigNode& node) {
            if (node.kind != NodeKind::Scalar) return std::string();
            return "a text (write \"" + node.scalar + "\" with its quotes)";
          }};
}

ScalarReader<std::string> choice_reader(const std::vector<std::string>& names) {
  return {"one of " + join(names, ", "),
          [names](const ConfigNode& node) -> std::optional<std::string> {
            if (std::count(names.begin(), names.end(), node.scalar) == 0) return std::nullopt;
            return node.scalar;
          },
          [names](const ConfigNode& node) {
            const std::string nearest = nearest_name(node.scalar, names);
            if (nearest.empty()) return std::string();
            return "one of " + join(names, ", ") + " (did you mean \"" + nearest + "\"?)";
          }};
}

/// Records a fault at `node` and returns nothing, or returns the value.
template <typename T>
std::optional<T> read_scalar(const NodeState& state, const ConfigNode& node,
                             const Location& location, const std::string& pointer,
                             const ScalarReader<T>& reader) {
  if (node.kind == NodeKind::Scalar) {
    std::optional<T> value = reader.read(node);
    if (value) return value;
  }
  std::string expected = reader.hint ? reader.hint(node) : "";
  if (expected.empty()) expected = reader.expected;
  state.document->add(location, pointer + " = " + display(node) + ", expected " + expected);
  return std::nullopt;
}

/// Returns the member at `key`, or null after recording that a required one is missing.
Member* find_member(const NodeState& state, const std::string& key, bool required,
                    const std::string& expected) {
  Member* member = nullptr;
  if (state.node != nullptr) {
    state.node->asked.insert(key);
    member = state.node->find(key);
  }
  if (member == nullptr && required && !state.broken) {
    state.document->add(state.location,
                        state.pointer + "/" + key + " is missing, expected " + expected);
  }
  return member;
}

template <typename T>
T read_member(const NodeState& state, const std::string& key, const std::optional<T>& fallback,
              const ScalarReader<T>& reader) {
  const Member* member = find_member(state, key, !fallback.has_value(), reader.expected);
  std::optional<T> value;
  if (member != nullptr) {
    value = read_scalar(state, member->value, member->location, state.pointer + "/" + key, reader);
  }
  if (value) return *value;
  return fallback ? *fallback : T();
}

template <typename T>
std::vector<T> read_list(const NodeState& state, const std::string& key,
                         const std::optional<std::vector<T>>& fallback,
                         const ScalarReader<T>& reader) {
  const std::string expected = "a list, each element " + reader.expected;
  const std::string pointer = state.pointer + "/" + key;
  const Member* member = find_member(state, key, !fallback.has_value(), expected);
  const std::vector<T> otherwise = fallback ? *fallback : std::vector<T>();
  if (member == nullptr) return otherwise;
  if (member->value.kind != NodeKind::Sequence) {
    state.document->add(member->location,
                        pointer + " = " + display(member->value) + ", expected " + expected);
    return otherwise;
  }
  std::vector<T> values;
  const std::vector<ConfigNode>& items = member->value.items;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::optional<T> value =
        read_scalar(state, items[i], items[i].location, pointer + "/" + std::to_string(i), reader);
    if (value) values.push_back(*value);
  }
  return values.size() == items.size() ? values : otherwise;
}

/// Returns a cursor on `node`, which a list or a key of `parent` holds.
std::shared_ptr<NodeState> child_state(const NodeState& parent, ConfigNode& node,
                                       const Location& location, const std::string& pointer) {
  auto child = std::make_shared<NodeState>();
  child->document = parent.document;
  child->pointer = pointer;
  child->location = location;
  if (node.kind == NodeKind::Mapping) {
    child->node = &node;
  } else {
    child->broken = true;
    parent.document->add(location, pointer + " = " + display(node) + ", expected a mapping");
  }
  return child;
}

NodeKind kind_of(const NodeState& state, const std::string& key) {
  const Member* member = state.node == nullptr ? nullptr : state.node->find(key);
  return member == nullptr ? NodeKind::Null : member->value.kind;
}

}  // namespace

ConfigSection::ConfigSection(std::shared_ptr<NodeState> state) : state_(std::move(state)) {}

bool ConfigSection::present() const { return state_->node != nullptr; }

bool ConfigSection::has(const std::string& key) const {
  if (state_->node == nullptr) return false;
  state_->node->mentioned.insert(key);
  return state_->node->find(key) != nullptr;
}

std::vector<std::string> ConfigSection::keys() const {
  std::vector<std::string> keys;
  if (state_->node == nullptr) return keys;
  for (const Member& member : state_->node->members) {
    if (state_->node->find(member.key) == &member) keys.push_back(member.key);
  }
  return keys;
}

bool ConfigSection::is_list(const std::string& key) const {
  return kind_of(*state_, key) == NodeKind::Sequence;
}

bool ConfigSection::is_mapping(const std::string& key) const {
  return kind_of(*state_, key) == NodeKind::Mapping;
}

bool ConfigSection::is_text(const std::string& key) const {
  return kind_of(*state_, key) == NodeKind::Scalar &&
         scalar_type(state_->node->find(key)->value) == ScalarType::Text;
}

int64_t ConfigSection::integer(const std::string& key, std::optional<int64_t> fallback,
                               IntegerRange range) {
  return read_member(*state_, key, fallback, integer_reader(range));
}

double ConfigSection::real(const std::string& key, std::optional<double> fallback,
                           RealRange range) {
  return read_member(*state_, key, fallback, real_reader(range));
}

bool ConfigSection::boolean(const std::string& key, std::optional<bool> fallback) {
  return read_member(*state_, key, fallback, boolean_reader());
}

std::string ConfigSection::text(const std::string& key, std::optional<std::string> fallback) {
  return read_member(*state_, key, fallback, text_reader());
}

std::string ConfigSection::choice(const std::string& key, std::optional<std::string> fallback,
                                  const std::vector<std::string>& names) {
  return read_member(*state_, key, fallback, choice_reader(names));
}

double ConfigSection::duration_s(const std::string& key, std::optional<double> fallback,
                                 RealRange range) {
  const ScalarReader<double> reader{
      describe("a duration such as 500us, 20ms, 1.5s, 30min or 2h", range, duration_text),
      [range](const ConfigNode& node) { return checked(parse_duration_s(node.scalar), range); },
      nullptr};
  return read_member(*state_, key, fallback, reader);
}

int64_t ConfigSection::size_bytes(const std::string& key, std::optional<int64_t> fallback,
                                  IntegerRange range) {
  const ScalarReader<int64_t> reader{
      describe("a size such as 512B, 64KB, 50MB, 2GB or 16MiB", range),
      [range](const ConfigNode& node) { return checked(parse_size_bytes(node.scalar), range); },
      nullptr};
  return read_member(*state_, key, fallback, reader);
}

int64_t ConfigSection::count(const std::string& key, std::optional<int64_t> fallback,
                             IntegerRange range) {
  const ScalarReader<int64_t> reader{
      describe("a count such as 300, 2k, 1.5M or 4G", range),
      [range](const ConfigNode& node) { return checked(parse_count(node.scalar), range); },
      nullptr};
  return read_member(*state_, key, fallback, reader);
}

std::vector<int64_t> ConfigSection::integers(const std::string& key,
                                             std::optional<std::vector<int64_t>> fallback,
                                             IntegerRange range) {
  return read_list(*state_, key, fallback, integer_reader(range));
}

std::vector<double> ConfigSection::reals(const std::string& key,
                                         std::optional<std::vector<double>> fallback,
                                         RealRange range) {
  return read_list(*state_, key, fallback, real_reader(range));
}

std::vector<bool> ConfigSection::booleans(const std::string& key,
                                          std::optional<std::vector<bool>> fallback) {
  return read_list(*state_, key, fallback, boolean_reader());
}

std::vector<std::string> ConfigSection::texts(const std::string& key,
                                              std::optional<std::vector<std::string>> fallback) {
  return read_list(*state_, key, fallback, text_reader());
}

std::vector<std::string> ConfigSection::choices(const std::string& key,
                                                std::optional<std::vector<std::string>> fallback,
                                                const std::vector<std::string>& names) {
  return read_list(*state_, key, fallback, choice_reader(names));
}

ConfigSection ConfigSection::section(const std::string& key) {
  const std::string pointer = state_->pointer + "/" + key;
  Member* member = find_member(*state_, key, false, "");
  // A key with nothing behind it is an empty mapping, as people write it.
  if (member != nullptr && member->value.kind == NodeKind::Null) {
    member->value.kind = NodeKind::Mapping;
  }
  if (member != nullptr) {
    return ConfigSection(child_state(*state_, member->value, member->location, pointer));
  }
  auto absent = std::make_shared<NodeState>();
  absent->document = state_->document;
  absent->pointer = pointer;
  absent->location = state_->location;
  absent->broken = state_->broken;
  return ConfigSection(std::move(absent));
}

std::vector<ConfigSection> ConfigSection::sections(const std::string& key) {
  std::vector<ConfigSection> sections;
  const std::string pointer = state_->pointer + "/" + key;
  Member* member = find_member(*state_, key, false, "");
  if (member == nullptr) return sections;
  ConfigNode& list = member->value;
  if (list.kind != NodeKind::Sequence) {
    state_->document->add(member->location,
                          pointer + " = " + display(list) + ", expected a list of mappings");
    return sections;
  }
  for (size_t i = 0; i < list.items.size(); ++i) {
    sections.push_back(ConfigSection(child_state(*state_, list.items[i], list.items[i].location,
                                                 pointer + "/" + std::to_string(i))));
  }
  return sections;
}

void ConfigSection::finish() {
  if (state_->node == nullptr) return;
  const ConfigNode& node = *state_->node;
  std::set<std::string> known = node.asked;
  known.insert(node.mentioned.begin(), node.mentioned.end());
  const std::vector<std::string> names(known.begin(), known.end());
  for (const Member& member : node.members) {
    if (node.asked.count(member.key) > 0) continue;
    const std::string nearest = nearest_name(member.key, names);
    std::string expected = "no key of that name";
    if (!nearest.empty()) {
      expected = "a known key (did you mean \"" + nearest + "\"?)";
    } else if (!names.empty()) {
      expected = "one of the keys " + join(names, ", ");
    }
    state_->document->add(member.location, state_->pointer + "/" + member.key + " = " +
                                               display(member.value) + ", expected " + expected);
  }
}

void ConfigSection::fault(const std::string& key, const std::string& expected) {
  const std::string pointer = state_->pointer + (key.empty() ? "" : "/" + key);
  const Member* member = state_->node == nullptr ? nullptr : state_->node->find(key);
  std::string message = pointer.empty() ? "/" : pointer;
  if (member != nullptr) {
    message += " = " + display(member->value) + ", expected " + expected;
  } else if (key.empty()) {
    message += ": expected " + expected;
  } else {
    message += " is missing, expected " + expected;
  }
  state_->document->add(member != nullptr ? member->location : state_->location, message);
}

std::string ConfigSection::where(const std::string& key) const {
  const Member* member = state_->node == nullptr ? nullptr : state_->node->find(key);
  return state_->document->where(member != nullptr ? member->location : state_->location);
}

}  // namespace lathe
