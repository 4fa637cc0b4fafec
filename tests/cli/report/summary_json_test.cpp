#include "cli/report/summary_json.h"

#include <doctest/doctest.h>

#include <unistd.h>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/report/summary_fields.h"
#include "core/error.h"
#include "core/file.h"
#include "tests/support/sample_summary.h"

namespace lathe::report {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename T>
bool equal(const T& a, const T& b);

/// Bitwise for doubles, so that -0.0 and 0.0 differ.
bool equal(double a, double b) { return a == b && std::signbit(a) == std::signbit(b); }

template <typename T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}

template <typename T>
bool equal(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || equal(*a, *b));
}

template <typename T>
bool equal(const std::map<std::string, T>& a, const std::map<std::string, T>& b) {
  return a == b;
}

template <typename T>
bool equal(const T& a, const T& b) {
  if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return a == b;
  } else {
    bool same = true;
    std::apply(
        [&](const auto&... fields) {
          ((same = same && equal(a.*fields.member, b.*fields.member)), ...);
        },
        detail::Fields<T>::list);
    return same;
  }
}

std::string error_of(const std::string& text) {
  try {
    summary_from_json(text, "runs/a/summary.json");
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

/// The sample as JSON with the value at `pointer` replaced.
std::string with(const std::string& pointer, const Json& value) {
  Json json = Json::parse(summary_to_json(support::sample_summary({20})));
  json.at(Json::json_pointer(pointer)) = value;
  return json.dump();
}

}  // namespace

TEST_CASE("summary.json reads back exactly as it was written") {
  support::SampleOptions options;
  options.devices = {"local", "pi4"};
  options.scaling = options.racing = options.learned = options.compressed = true;
  const RunSummary summary = support::sample_summary(options);
  REQUIRE(summary.front.size() > 2);
  REQUIRE(summary.search.scaling.has_value());
  REQUIRE(summary.search.racing.has_value());
  REQUIRE(summary.search.learned.has_value());
  REQUIRE(summary.front[1].steps.has_value());
  REQUIRE(summary.search.candidates.size() == 400);
  const std::string text = summary_to_json(summary);
  const RunSummary again = summary_from_json(text, "summary.json");
  CHECK(equal(summary, again));
  CHECK(summary_to_json(again) == text);
}

TEST_CASE("summary.json keeps extreme values and strange text") {
  RunSummary summary = support::sample_summary({3});
  summary.seed = std::numeric_limits<uint64_t>::max();
  summary.machine.memory_bytes = std::numeric_limits<int64_t>::max();
  summary.machine.cores = std::numeric_limits<int64_t>::min();
  summary.search.candidates[0].latencies.clear();
  summary.search.candidates[0].accuracy.reset();
  summary.stages[0].seconds = std::numeric_limits<double>::denorm_min();
  summary.stages[1].seconds = std::numeric_limits<double>::max();
  summary.stages[2].seconds = -0.0;
  summary.stages[3].seconds = 0.1 + 0.2;
  summary.name = std::string("a\0b\"\\\n\x1b[31m</script>\xe2\x80\xa8 \xf0\x9f\x98\x80", 28);
  summary.config = "";
  summary.devices[0].conditions->extra[""] = "empty key";
  summary.devices[0].conditions->extra["a/b~c"] = "pointer characters";
  const RunSummary again = summary_from_json(summary_to_json(summary), "summary.json");
  CHECK(equal(summary, again));
}

TEST_CASE("an empty summary is written and read") {
  const RunSummary again = summary_from_json(summary_to_json(RunSummary{}), "summary.json");
  CHECK(equal(RunSummary{}, again));
}

TEST_CASE("the comparison of these tests sees a change in any struct") {
  const RunSummary summary = support::sample_summary({20});
  RunSummary other = summary;
  other.front[0].blocks[1].macs_share += 1e-12;
  CHECK_FALSE(equal(summary, other));
  other = summary;
  other.search.candidates[4].accuracy.reset();
  CHECK_FALSE(equal(summary, other));
  other = summary;
  other.devices[0].conditions->extra["x"] = "y";
  CHECK_FALSE(equal(summary, other));
}

TEST_CASE("a number that is not finite is refused with its field") {
  RunSummary summary = support::sample_summary({20});
  summary.search.candidates[3].accuracy->top1 = std::nan("");
  CHECK_THROWS_WITH_AS(
      summary_to_json(summary),
      "summary.json: /search/candidates/3/accuracy/top1 = nan, expected a finite number",
      InvariantError);
  summary = support::sample_summary({20});
  summary.stages[1].seconds = -std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(summary_to_json(summary),
                       "summary.json: /stages/1/seconds = -inf, expected a finite number",
                       InvariantError);
}

TEST_CASE("bytes that are not UTF-8 become the replacement character") {
  RunSummary summary;
  summary.name = "caf\xe9";
  CHECK(summary_from_json(summary_to_json(summary), "x").name == "caf\xef\xbf\xbd");
}

TEST_CASE("the reader names the file and the field of every fault") {
  const std::string at = "runs/a/summary.json: ";
  CHECK(error_of(with("/front/0/macs", "x")) == at + "/front/0/macs = \"x\", expected an integer");
  CHECK(error_of(with("/front/0/macs", 1.5)) == at + "/front/0/macs = 1.5, expected an integer");
  CHECK(error_of(with("/front/0/macs", 18446744073709551615ULL)) ==
        at + "/front/0/macs = 18446744073709551615, expected an integer of 64 bits with sign");
  CHECK(error_of(with("/seed", -1)) == at + "/seed = -1, expected an integer of 0 or more");
  CHECK(error_of(with("/name", nullptr)) == at + "/name = null, expected text");
  CHECK(error_of(with("/stages", Json::object())) == at + "/stages = {}, expected a list");
  CHECK(error_of(with("/stages/0/resumed", 1)) ==
        at + "/stages/0/resumed = 1, expected true or false");
  CHECK(error_of(with("/stages/0/seconds", nullptr)) ==
        at + "/stages/0/seconds = null, expected a number");
  CHECK(error_of(with("/devices/0/verdicts", Json::array())) ==
        at + "/devices/0/verdicts = [], expected an object");
  CHECK(error_of(with("/devices/0/verdicts/clean", "a")) ==
        at + "/devices/0/verdicts/clean = \"a\", expected an integer");
  CHECK(error_of(with("/machine", 3)) == at + "/machine = 3, expected an object");
  CHECK(error_of(with("/format_version", 2)) == at + "/format_version = 2, expected 1");
  CHECK(error_of("[]") == at + "/ = [], expected an object");
  CHECK(error_of("{}") == at + "/format_version is missing");
  CHECK(error_of("{\"format_version\": 1}") == at + "/name is missing");
  CHECK(error_of(with("/name", Json::array({std::string(100, 'a')}))) ==
        at + "/name = [\"" + std::string(55, 'a') + "..., expected text");
}

TEST_CASE("text that is not JSON is a data error that says where") {
  for (const std::string text :
       {"", "{", "{\"a\":}", "nul", "{\"format_version\": 1e999}", "\xff"}) {
    const std::string message = error_of(text);
    CHECK_MESSAGE(message.find("runs/a/summary.json: not a JSON document: ") == 0, message);
  }
  const std::string whole = summary_to_json(support::sample_summary({5}));
  for (size_t length = 0; length + 2 < whole.size(); length += 997) {
    CHECK(error_of(whole.substr(0, length)) != "no error");
  }
}

TEST_CASE("a missing field at any depth is named and unknown fields are ignored") {
  Json json = Json::parse(summary_to_json(support::sample_summary({20})));
  json["added_later"] = 1;
  json["front"][0]["added_later"] = {1, 2};
  CHECK(error_of(json.dump()) == "no error");
  // What may be null may be missing too: the file is older than the field.
  for (const char* field : {"scaling", "racing", "learned"}) json["search"].erase(field);
  for (Json& candidate : json["search"]["candidates"]) candidate.erase("screened");
  CHECK(error_of(json.dump()) == "no error");
  json["front"][0]["latencies"][0]["confirmed"].erase("high_ms");
  CHECK(error_of(json.dump()) ==
        "runs/a/summary.json: /front/0/latencies/0/confirmed/high_ms is missing");
}

TEST_CASE("write_summary and read_summary go through a file") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("lathe_summary_" + std::to_string(getpid()));
  const std::filesystem::path path = folder / "summary.json";
  const RunSummary summary = support::sample_summary({10});
  write_summary(path, summary);
  CHECK(equal(read_summary(path), summary));
  write_file_atomically(path, "{}");
  CHECK_THROWS_WITH_AS(read_summary(path), (path.string() + ": /format_version is missing").c_str(),
                       DataError);
  std::filesystem::remove_all(folder);
  CHECK_THROWS_AS(read_summary(path), DataError);
}

namespace {

/// Fails for every field of `T` that the document does not name in backquotes.
template <typename T>
void check_documented(const std::string& document) {
  std::apply(
      [&](const auto&... fields) {
        const auto check = [&](const std::string& name) {
          const bool explained = document.find("`" + name + "`") != std::string::npos;
          CHECK_MESSAGE(explained, ("docs/summary.md does not explain " + name));
        };
        (check(fields.name), ...);
      },
      detail::Fields<T>::list);
}

}  // namespace

TEST_CASE("docs/summary.md explains every field") {
  const std::string document = read_file(std::string(LATHE_SOURCE_DIR) + "/docs/summary.md");
  check_documented<RunSummary>(document);
  check_documented<Machine>(document);
  check_documented<Stage>(document);
  check_documented<Data>(document);
  check_documented<Split>(document);
  check_documented<Preprocessing>(document);
  check_documented<Space>(document);
  check_documented<TrainingRecord>(document);
  check_documented<Device>(document);
  check_documented<Agent>(document);
  check_documented<Conditions>(document);
  check_documented<Search>(document);
  check_documented<ConstraintRecord>(document);
  check_documented<CandidateRecord>(document);
  check_documented<CandidateFailure>(document);
  check_documented<Accuracy>(document);
  check_documented<DeviceLatency>(document);
  check_documented<Latency>(document);
  check_documented<Generation>(document);
  check_documented<Scaling>(document);
  check_documented<ScalingFit>(document);
  check_documented<FamilyNetwork>(document);
  check_documented<ScaledNetwork>(document);
  check_documented<Factors>(document);
  check_documented<Racing>(document);
  check_documented<LearnedMetric>(document);
  check_documented<ModelRecord>(document);
  check_documented<ReferenceValue>(document);
  check_documented<FrontNetwork>(document);
  check_documented<FrontLatency>(document);
  check_documented<ExportedFile>(document);
  check_documented<Parity>(document);
  check_documented<Block>(document);
  check_documented<Baseline>(document);
}

}  // namespace lathe::report
