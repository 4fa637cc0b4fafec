#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/config_tree.h"

namespace lathe::config_detail {
namespace {

nlohmann::ordered_json to_json_value(const ConfigNode& node) {
  nlohmann::ordered_json json;
  switch (node.kind) {
    case NodeKind::Null:
      return json;
    case NodeKind::Sequence:
      json = nlohmann::ordered_json::array();
      for (const ConfigNode& item : node.items) json.push_back(to_json_value(item));
      return json;
    case NodeKind::Mapping:
      json = nlohmann::ordered_json::object();
      for (const Member& member : node.members) {
        // Of a repeated key the first one counts.
        if (!json.contains(member.key)) json[member.key] = to_json_value(member.value);
      }
      return json;
    case NodeKind::Scalar:
      break;
  }
  switch (scalar_type(node)) {
    case ScalarType::Boolean:
      return node.scalar == "true";
    case ScalarType::Integer:
      return *parse_integer(node.scalar);
    case ScalarType::Real:
      return *parse_real(node.scalar);
    case ScalarType::Text:
      break;
  }
  return node.scalar;
}

/// JSON's quotes and escapes are YAML's too.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Whether a text means the same without quotes, wherever it stands.
bool is_plain(const std::string& text) {
  if (text.empty()) return false;
  const bool sign = (text[0] == '-' || text[0] == '+' || text[0] == '.') && text.size() > 1;
  if (!is_letter_or_digit(text[sign ? 1 : 0])) return false;
  const auto harmless = [](char c) {
    return is_letter_or_digit(c) || c == '_' || c == '-' || c == '+' || c == '.' || c == '/' ||
           c == '@';
  };
  return std::all_of(text.begin(), text.end(), harmless);
}

/// Null is written in these ways; a key of that name needs its quotes.
bool is_null_name(const std::string& text) {
  return text == "null" || text == "Null" || text == "NULL";
}

std::string scalar_text(const ConfigNode& node) {
  if (node.kind == NodeKind::Null) return "null";
  return !node.quoted && is_plain(node.scalar) ? node.scalar : quoted(node.scalar);
}

bool is_leaf(const ConfigNode& node) {
  return (node.kind == NodeKind::Sequence && node.items.empty()) ||
         (node.kind == NodeKind::Mapping && node.members.empty()) ||
         node.kind == NodeKind::Scalar || node.kind == NodeKind::Null;
}

/// A value that fits behind its key: a scalar, or a list of scalars.
bool is_inline(const ConfigNode& node) {
  if (is_leaf(node)) return true;
  return node.kind == NodeKind::Sequence &&
         std::all_of(node.items.begin(), node.items.end(), is_leaf);
}

std::string inline_text(const ConfigNode& node) {
  if (node.kind == NodeKind::Mapping) return "{}";
  if (node.kind != NodeKind::Sequence) return scalar_text(node);
  std::string text = "[";
  for (const ConfigNode& item : node.items) {
    text += (text.size() > 1 ? ", " : "") + inline_text(item);
  }
  return text + "]";
}

/// Writes a mapping or list in block style. `first` is what begins its first line.
void write_block(const ConfigNode& node, const std::string& first, const std::string& indent,
                 std::string& out) {
  std::string begin = first;
  const auto write_value = [&](const ConfigNode& value, const std::string& head, bool item) {
    if (is_inline(value)) {
      out += begin + head + inline_text(value) + "\n";
    } else if (item) {
      write_block(value, begin + head, indent + "  ", out);
    } else {
      out += begin + head.substr(0, head.size() - 1) + "\n";
      write_block(value, indent + "  ", indent + "  ", out);
    }
    begin = indent;
  };
  for (const ConfigNode& item : node.items) write_value(item, "- ", true);
  for (const Member& member : node.members) {
    const bool plain = is_plain(member.key) && !is_null_name(member.key);
    write_value(member.value, (plain ? member.key : quoted(member.key)) + ": ", false);
  }
}

}  // namespace

std::string write_yaml(const ConfigNode& root) {
  if (is_inline(root)) return inline_text(root) + "\n";
  std::string out;
  write_block(root, "", "", out);
  return out;
}

std::string write_json(const ConfigNode& root) {
  return to_json_value(root).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace lathe::config_detail
