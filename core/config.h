#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace lathe {

namespace config_detail {
struct DocumentState;
struct NodeState;
}  // namespace config_detail

class ConfigSection;

/// One YAML or JSON file (both are read by yaml-cpp, so both have line numbers), with overrides
/// applied. All faults of the file are collected and reported at once. Not thread-safe.
class ConfigDocument {
 public:
  /// Reads `path` and applies `overrides`, each "a.b=value" or "a.0.b=value", where value is YAML.
  /// \throws ConfigError with `path:line:column: ...` if the file cannot be read or parsed, or an
  /// override is malformed.
  static ConfigDocument read_file(const std::filesystem::path& path,
                                  const std::vector<std::string>& overrides = {});
  /// The same for text; `name` stands for the path in messages.
  static ConfigDocument read_text(const std::string& text, const std::string& name,
                                  const std::vector<std::string>& overrides = {});

  /// The top-level mapping. A root that is not a mapping is recorded as a fault and reads as empty.
  ConfigSection root() const;

  /// The file's path as given, for resolving relative paths inside it.
  std::filesystem::path path() const;

  /// Records a fault found by the caller (for example a constraint between two keys).
  void add_fault(const ConfigSection& section, const std::string& key, const std::string& expected);
  bool has_faults() const;
  /// \throws ConfigError with one line a fault, in file order:
  ///   `configs/mobile.yaml:14: /search/population = 63, expected a multiple of 4 in [4, 4096]`
  /// Call it after every section was read and finish()ed.
  void throw_if_faults() const;

  /// The document after overrides as YAML or JSON text, for the run folder.
  std::string to_yaml() const;
  std::string to_json() const;

 private:
  explicit ConfigDocument(std::shared_ptr<config_detail::DocumentState> state);
  std::shared_ptr<config_detail::DocumentState> state_;
};

struct IntegerRange {
  int64_t low = INT64_MIN;
  int64_t high = INT64_MAX;
  int64_t multiple_of = 1;
};
struct RealRange {
  double low = -1e308;
  double high = 1e308;
  bool low_open = false;  ///< true: the lower end itself is refused
};

/// A cursor on one mapping. Each reader returns the value, or the default when the key is absent; a
/// value of the wrong type or range records a fault (file:line, pointer, value, expectation) and
/// returns the default, so that reading goes on and every fault is found. 3.9 is not an integer,
/// "yes" is not a boolean. Without a default the key is required. Copies share the same node.
class ConfigSection {
 public:
  bool present() const;  ///< false for a section that the file does not have
  bool has(const std::string& key) const;
  /// The keys in the order of the file; a repeated key once. For mappings with names of the user's
  /// choice.
  std::vector<std::string> keys() const;
  /// Whether `key` holds a list, a mapping or a text, for keys that may be written in several ways.
  bool is_list(const std::string& key) const;
  bool is_mapping(const std::string& key) const;
  bool is_text(const std::string& key) const;

  int64_t integer(const std::string& key, std::optional<int64_t> fallback, IntegerRange range = {});
  double real(const std::string& key, std::optional<double> fallback, RealRange range = {});
  bool boolean(const std::string& key, std::optional<bool> fallback);
  std::string text(const std::string& key, std::optional<std::string> fallback);
  /// One of `names`; a near miss is named in the fault ("did you mean ...?").
  std::string choice(const std::string& key, std::optional<std::string> fallback,
                     const std::vector<std::string>& names);
  /// Seconds; written 500us, 20ms, 1.5s, 30min, 2h. A bare number is a fault that names the units.
  double duration_s(const std::string& key, std::optional<double> fallback, RealRange range = {});
  /// Bytes; written 512B, 64KB, 50MB, 2GB (powers of 1000) or KiB, MiB, GiB.
  int64_t size_bytes(const std::string& key, std::optional<int64_t> fallback,
                     IntegerRange range = {});
  /// A count; written 300, 2k, 1.5M, 4G.
  int64_t count(const std::string& key, std::optional<int64_t> fallback, IntegerRange range = {});

  std::vector<int64_t> integers(const std::string& key,
                                std::optional<std::vector<int64_t>> fallback,
                                IntegerRange range = {});
  std::vector<double> reals(const std::string& key, std::optional<std::vector<double>> fallback,
                            RealRange range = {});
  std::vector<bool> booleans(const std::string& key, std::optional<std::vector<bool>> fallback);
  std::vector<std::string> texts(const std::string& key,
                                 std::optional<std::vector<std::string>> fallback);
  std::vector<std::string> choices(const std::string& key,
                                   std::optional<std::vector<std::string>> fallback,
                                   const std::vector<std::string>& names);

  /// The sub-mapping at `key`; absent gives a section whose present() is false and that reads
  /// defaults.
  ConfigSection section(const std::string& key);
  /// The mappings of the list at `key`; absent gives an empty list.
  std::vector<ConfigSection> sections(const std::string& key);

  /// Records an unknown-key fault, with the nearest known key, for every key that no reader asked
  /// for.
  void finish();

  /// Records a fault at `key` of this section: `expected` completes "..., expected".
  void fault(const std::string& key, const std::string& expected);

  /// `file:line` of `key` (or of the section for an empty key), for messages of later checks.
  std::string where(const std::string& key = "") const;

 private:
  friend class ConfigDocument;
  explicit ConfigSection(std::shared_ptr<config_detail::NodeState> state);
  std::shared_ptr<config_detail::NodeState> state_;
};

/// Parses "20ms", "1.5s", "30min", "2h", "500us" into seconds. Returns nothing for anything else.
std::optional<double> parse_duration_s(const std::string& text);
/// Parses "32MB", "1GiB", "500B" into bytes.
std::optional<int64_t> parse_size_bytes(const std::string& text);
/// Parses "300", "2k", "1.5M", "4G" into a count.
std::optional<int64_t> parse_count(const std::string& text);

/// Returns the member of `names` nearest to `word` by edit distance if it is near enough to be a
/// typing error, else an empty string.
std::string nearest_name(const std::string& word, const std::vector<std::string>& names);

}  // namespace lathe
