#include "core/config.h"

#include <algorithm>
#include <tuple>

#include "core/config_tree.h"
#include "core/file.h"

namespace lathe {
namespace config_detail {

Member* ConfigNode::find(const std::string& key) {
  for (Member& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

std::string DocumentState::where(const Location& location) const {
  if (location.override_index >= 0) {
    return "--set " + overrides[static_cast<size_t>(location.override_index)];
  }
  return name + ":" + std::to_string(location.line);
}

void DocumentState::add(const Location& location, const std::string& message) {
  for (const Fault& fault : faults) {
    if (fault.message == message && where(fault.location) == where(location)) return;
  }
  faults.push_back({location, message});
}

}  // namespace config_detail

namespace {

using config_detail::ConfigNode;
using config_detail::DocumentState;
using config_detail::Fault;
using config_detail::Location;
using config_detail::Member;
using config_detail::NodeKind;
using config_detail::NodeState;

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

/// Records every key that is given more than once; the first one counts.
void record_repeated_keys(DocumentState& document, const ConfigNode& node,
                          const std::string& pointer) {
  for (size_t i = 0; i < node.items.size(); ++i) {
    record_repeated_keys(document, node.items[i], pointer + "/" + std::to_string(i));
  }
  std::set<std::string> seen;
  for (const Member& member : node.members) {
    const std::string path = pointer + "/" + member.key;
    if (!seen.insert(member.key).second) {
      const auto first = std::find_if(node.members.begin(), node.members.end(),
                                      [&](const Member& other) { return other.key == member.key; });
      document.add(member.location, path + " = " + display(member.value) +
                                        ", expected the key once (it is already given at line " +
                                        std::to_string(first->location.line) + ")");
    }
    record_repeated_keys(document, member.value, path);
  }
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

/// Returns the value that `part` names inside `node`, made when it is not there yet.
ConfigNode& descend(ConfigNode& node, const std::string& part, const std::string& pointer,
                    const std::string& origin, const Location& location) {
  if (node.kind == NodeKind::Sequence) {
    const std::optional<int64_t> index = config_detail::parse_integer(part);
    const int64_t size = static_cast<int64_t>(node.items.size());
    if (!index || *index < 0 || *index > size) {
      throw ConfigError(origin + ": " + pointer + "/" + part +
                        " does not exist, expected an index from 0 to " + std::to_string(size) +
                        " (the last one appends)");
    }
    if (*index == size) {
      node.items.emplace_back();
      node.items.back().location = location;
    }
    return node.items[static_cast<size_t>(*index)];
  }
  if (node.kind == NodeKind::Scalar) {
    throw ConfigError(origin + ": " + (pointer.empty() ? "/" : pointer) + " = " + display(node) +
                      ", expected a mapping or a list to set \"" + part + "\" in");
  }
  node.kind = NodeKind::Mapping;
  if (Member* member = node.find(part)) return member->value;
  node.members.push_back({part, location, {}});
  node.members.back().value.location = location;
  return node.members.back().value;
}

void apply_override(DocumentState& document, size_t index) {
  const std::string& text = document.overrides[index];
  const std::string origin = "--set " + text;
  const size_t equals = text.find('=');
  const std::vector<std::string> parts = split_path(text.substr(0, equals));
  if (equals == std::string::npos || std::count(parts.begin(), parts.end(), "") > 0) {
    throw ConfigError(origin + ": expected key=value or key.key=value, for example search.seed=7");
  }
  const int override_index = static_cast<int>(index);
  ConfigNode value = config_detail::parse_yaml(text.substr(equals + 1), origin, override_index);
  const Location location{override_index, 1, 1};
  ConfigNode* node = &document.root;
  std::string pointer;
  for (const std::string& part : parts) {
    node = &descend(*node, part, pointer, origin, location);
    pointer += "/" + part;
  }
  value.location = location;
  *node = std::move(value);
}

}  // namespace

ConfigDocument::ConfigDocument(std::shared_ptr<DocumentState> state) : state_(std::move(state)) {}

ConfigDocument ConfigDocument::read_file(const std::filesystem::path& path,
                                         const std::vector<std::string>& overrides) {
  std::string text;
  try {
    text = lathe::read_file(path, kMaxConfigBytes);
  } catch (const DataError& error) {
    throw ConfigError(error.what());
  }
  return read_text(text, path.string(), overrides);
}

ConfigDocument ConfigDocument::read_text(const std::string& text, const std::string& name,
                                         const std::vector<std::string>& overrides) {
  auto state = std::make_shared<DocumentState>();
  state->name = name;
  state->overrides = overrides;
  state->root = config_detail::parse_yaml(text, name, -1);
  record_repeated_keys(*state, state->root, "");
  for (size_t i = 0; i < overrides.size(); ++i) apply_override(*state, i);
  return ConfigDocument(std::move(state));
}

ConfigSection ConfigDocument::root() const {
  auto node = std::make_shared<NodeState>();
  node->document = state_;
  node->location = state_->root.location;
  if (state_->root.kind == NodeKind::Mapping) {
    node->node = &state_->root;
  } else {
    node->broken = true;
    state_->add(node->location, "/ = " + display(state_->root) + ", expected a mapping");
  }
  return ConfigSection(std::move(node));
}

std::filesystem::path ConfigDocument::path() const { return state_->name; }

void ConfigDocument::add_fault(const ConfigSection& section, const std::string& key,
                               const std::string& expected) {
  ConfigSection(section).fault(key, expected);
}

bool ConfigDocument::has_faults() const { return !state_->faults.empty(); }

void ConfigDocument::throw_if_faults() const {
  if (state_->faults.empty()) return;
  std::vector<Fault> faults = state_->faults;
  const auto position = [](const Fault& fault) {
    const Location& at = fault.location;
    return std::make_tuple(at.override_index, at.line, at.column);
  };
  std::stable_sort(faults.begin(), faults.end(),
                   [&](const Fault& a, const Fault& b) { return position(a) < position(b); });
  std::string message;
  for (const Fault& fault : faults) {
    if (!message.empty()) message += "\n";
    message += state_->where(fault.location) + ": " + fault.message;
  }
  throw ConfigError(message);
}

std::string ConfigDocument::to_yaml() const { return config_detail::write_yaml(state_->root); }

std::string ConfigDocument::to_json() const { return config_detail::write_json(state_->root); }

}  // namespace lathe
