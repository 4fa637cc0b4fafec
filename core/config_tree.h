#pragma once

// Private to the configuration reader: the document as a tree of our own, so that every value knows
// its line, whether it was quoted, and which override it came from. Not included outside core/.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lathe::config_detail {

/// Where a value stands: a line of the file, or one of the overrides.
struct Location {
  int override_index = -1;  ///< index into DocumentState::overrides, -1 for the file
  int line = 1;             ///< from 1
  int column = 1;           ///< from 1
};

enum class NodeKind { Null, Scalar, Sequence, Mapping };
enum class ScalarType { Boolean, Integer, Real, Text };

struct Member;

/// One value of the document. Members keep the order of the file; a repeated key keeps all its
/// members.
struct ConfigNode {
  NodeKind kind = NodeKind::Null;
  std::string scalar;
  bool quoted = false;
  Location location;
  std::vector<ConfigNode> items;    ///< of a sequence
  std::vector<Member> members;      ///< of a mapping
  std::set<std::string> asked;      ///< keys that a reader asked for
  std::set<std::string> mentioned;  ///< further keys that are known to exist

  /// Returns the first member named `key`, or null.
  Member* find(const std::string& key);
};

struct Member {
  std::string key;
  Location location;  ///< of the key
  ConfigNode value;
};

struct Fault {
  Location location;
  std::string message;
};

struct DocumentState {
  std::string name;
  std::vector<std::string> overrides;
  ConfigNode root;
  std::vector<Fault> faults;

  /// `file:line`, or `--set key=value` for an override.
  std::string where(const Location& location) const;
  /// Records the fault once, however often it is found.
  void add(const Location& location, const std::string& message);
};

/// A cursor on a mapping. `node` is null when the file has no such mapping.
struct NodeState {
  std::shared_ptr<DocumentState> document;
  ConfigNode* node = nullptr;
  std::string pointer;  ///< "" for the root
  Location location;    ///< of the mapping, or of the nearest one that is there
  bool broken = false;  ///< something else stands there: a fault is recorded, missing keys are not
};

/// Parses one YAML or JSON document. `origin` begins the messages: `origin:line:column: ...` for a
/// file (override_index -1), `origin: ...` for an override. \throws ConfigError if the text cannot
/// be parsed.
ConfigNode parse_yaml(const std::string& text, const std::string& origin, int override_index);

std::string write_yaml(const ConfigNode& root);
std::string write_json(const ConfigNode& root);

/// Returns the type of a scalar by the YAML 1.2 core rules; a quoted scalar is text.
ScalarType scalar_type(const ConfigNode& node);
/// Reads a plain decimal integer or number written in full; nothing on overflow.
std::optional<int64_t> parse_integer(const std::string& text);
std::optional<double> parse_real(const std::string& text);

/// Returns the value on one line as messages show it, shortened when long.
std::string display(const ConfigNode& node);

}  // namespace lathe::config_detail
