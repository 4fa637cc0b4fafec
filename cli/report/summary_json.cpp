#include "cli/report/summary_json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "cli/report/summary_fields.h"
#include "core/error.h"
#include "core/file.h"

namespace lathe::report {
namespace {

using Json = nlohmann::ordered_json;
using detail::Fields;

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<std::map<std::string, T>> : std::true_type {};

template <typename T, typename Visitor>
void for_each_field(Visitor&& visit) {
  std::apply([&visit](const auto&... fields) { (visit(fields), ...); }, Fields<T>::list);
}

/// Builds JSON from values. `pointer` names the value in errors.
template <typename T>
Json write(const T& value, const std::string& pointer) {
  if constexpr (std::is_same_v<T, double>) {
    if (!std::isfinite(value)) {
      throw InvariantError("summary.json: " + pointer + " = " + std::to_string(value) +
                           ", expected a finite number");
    }
    return value;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (IsOptional<T>::value) {
    return value ? write(*value, pointer) : Json(nullptr);
  } else if constexpr (IsVector<T>::value) {
    Json list = Json::array();
    for (size_t i = 0; i < value.size(); ++i) {
      list.push_back(write(value[i], pointer + "/" + std::to_string(i)));
    }
    return list;
  } else if constexpr (IsMap<T>::value) {
    Json object = Json::object();
    for (const auto& [key, item] : value) object[key] = write(item, pointer + "/" + key);
    return object;
  } else {
    Json object = Json::object();
    for_each_field<T>([&](const auto& field) {
      object[field.name] = write(value.*field.member, pointer + "/" + field.name);
    });
    return object;
  }
}

/// Turns JSON back into values; every fault is a DataError that names the file and the field.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  template <typename T>
  T read(const Json& json, const std::string& pointer) const {
    if constexpr (std::is_same_v<T, bool>) {
      if (!json.is_boolean()) fail(json, pointer, "true or false");
      return json.get<bool>();
    } else if constexpr (std::is_same_v<T, double>) {
      if (!json.is_number()) fail(json, pointer, "a number");
      return json.get<double>();
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      if (!json.is_number_unsigned()) fail(json, pointer, "an integer of 0 or more");
      return json.get<uint64_t>();
    } else if constexpr (std::is_same_v<T, int64_t>) {
      return read_integer(json, pointer);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!json.is_string()) fail(json, pointer, "text");
      return json.get<std::string>();
    } else if constexpr (IsOptional<T>::value) {
      if (json.is_null()) return std::nullopt;
      return read<typename T::value_type>(json, pointer);
    } else if constexpr (IsVector<T>::value) {
      return read_list<T>(json, pointer);
    } else if constexpr (IsMap<T>::value) {
      return read_map<T>(json, pointer);
    } else {
      return read_object<T>(json, pointer);
    }
  }

  [[noreturn]] void fail(const Json& json, const std::string& pointer,
                         const std::string& expected) const {
    std::string value = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (value.size() > 60) value = value.substr(0, 57) + "...";
    throw DataError(name_ + ": " + pointer + " = " + value + ", expected " + expected);
  }

 private:
  int64_t read_integer(const Json& json, const std::string& pointer) const {
    if (!json.is_number_integer()) fail(json, pointer, "an integer");
    if (json.is_number_unsigned() &&
        json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail(json, pointer, "an integer of 64 bits with sign");
    }
    return json.get<int64_t>();
  }

  template <typename T>
  T read_list(const Json& json, const std::string& pointer) const {
    if (!json.is_array()) fail(json, pointer, "a list");
    T list;
    list.reserve(json.size());
    for (const Json& item : json) {
      list.push_back(
          read<typename T::value_type>(item, pointer + "/" + std::to_string(list.size())));
    }
    return list;
  }

  template <typename T>
  T read_map(const Json& json, const std::string& pointer) const {
    if (!json.is_object()) fail(json, pointer, "an object");
    T map;
    for (const auto& [key, item] : json.items()) {
      map.emplace(key, read<typename T::mapped_type>(item, pointer + "/" + key));
    }
    return map;
  }

  template <typename T>
  T read_object(const Json& json, const std::string& pointer) const {
    if (!json.is_object()) fail(json, pointer, "an object");
    T object;
    for_each_field<T>([&](const auto& field) {
      const std::string inner = pointer + "/" + field.name;
      const auto found = json.find(field.name);
      using Member = std::decay_t<decltype(object.*field.member)>;
      // A field that was added after the file was written: such fields may be null.
      if (IsOptional<Member>::value && found == json.end()) return;
      if (found == json.end()) throw DataError(name_ + ": " + inner + " is missing");
      object.*field.member = read<Member>(*found, inner);
    });
    return object;
  }

  std::string name_;
};

/// The text of a file: the version, then the fields.
template <typename T>
std::string to_text(const T& value, int version) {
  Json json = Json::object();
  json["format_version"] = version;
  Json body = write(value, "");
  for (auto& [key, item] : body.items()) json[key] = std::move(item);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

template <typename T>
T from_text(const std::string& text, const std::string& name, int version) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(name + ": not a JSON document: " + error.what());
  }
  const Reader reader(name);
  if (!json.is_object()) reader.fail(json, "/", "an object");
  const auto found = json.find("format_version");
  if (found == json.end()) throw DataError(name + ": /format_version is missing");
  if (*found != version) reader.fail(*found, "/format_version", std::to_string(version));
  return reader.read<T>(json, "");
}

}  // namespace

std::string summary_to_json(const RunSummary& summary) {
  return to_text(summary, kSummaryFormatVersion);
}

RunSummary summary_from_json(const std::string& text, const std::string& name) {
  return from_text<RunSummary>(text, name, kSummaryFormatVersion);
}

void write_summary(const std::filesystem::path& path, const RunSummary& summary) {
  write_file_atomically(path, summary_to_json(summary));
}

RunSummary read_summary(const std::filesystem::path& path) {
  return summary_from_json(read_file(path), path.string());
}

std::string ranking_to_json(const Ranking& ranking) {
  return to_text(ranking, kRankingFormatVersion);
}

void write_ranking(const std::filesystem::path& path, const Ranking& ranking) {
  write_file_atomically(path, ranking_to_json(ranking));
}

std::optional<Ranking> read_ranking(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  return from_text<Ranking>(read_file(path), path.string(), kRankingFormatVersion);
}

}  // namespace lathe::report
