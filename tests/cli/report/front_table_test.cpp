#include "cli/report/front_table.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "cli/report/text.h"
#include "tests/support/sample_summary.h"

namespace lathe::report {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

RunSummary two_networks() {
  RunSummary summary;
  FrontNetwork best;
  best.id = "net-01";
  best.roles = {"most accurate"};
  best.validation = {0.9123, 0.004, 5000};
  best.test = Accuracy{0.90871, 0.0029, 10000};
  best.macs = 12'345'678;
  best.params = 402'100;
  best.model_size_bytes = 1'608'400;
  best.files = {{"export/net-01.json", "architecture", "", 999, ""},
                {"export/net-01.onnx", "onnx", "fp32", 1'620'000, ""}};
  Latency searched;
  searched.median_ms = 1.3;
  searched.low_ms = 1.2;
  searched.high_ms = 1.4;
  Latency confirmed;
  confirmed.median_ms = 1.2345;
  confirmed.low_ms = 1.2;
  confirmed.high_ms = 1.25;
  best.latencies = {{"local", searched, confirmed, {}}};
  FrontNetwork fast = best;
  fast.id = "net-02";
  fast.roles = {"fastest"};
  fast.test.reset();
  fast.files.clear();
  fast.latencies = {{"local", searched, {}, {}}};
  summary.front = {best, fast};
  return summary;
}

}  // namespace

TEST_CASE("front_table prints the front with intervals and marks what was not confirmed") {
  CHECK(front_table(two_networks()) ==
        R"(network  role              val            test      ms @ local    MACs   params     size
----------------------------------------------------------------------------------------
net-01   most accurate  0.9123  0.9087 ±0.0029  1.234 ±2.8 %    12.3 M  402.1 k  1.62 MB
net-02   fastest        0.9123               -  1.300 ±7.7 % ~  12.3 M  402.1 k  1.61 MB
ms: median latency at batch 1 ± confidence interval, ~ as searched, not confirmed
)");
}

TEST_CASE("front_table fits 100 columns for many devices and hostile names") {
  support::SampleOptions options;
  options.devices = {"local", "a device with a very long name that goes on and on and on",
                     "\x1b[31mred\x1b[0m\r\n"};
  RunSummary summary = support::sample_summary(options);
  summary.front[0].roles = {"most accurate", "knee", "fastest", "smallest", "lightest", "best"};
  summary.front[1].id = std::string(300, 'x');
  summary.front[2].latencies[0].confirmed->median_ms = 1e300;
  summary.front[2].latencies[0].confirmed->high_ms = 123456789.0;
  const std::string text = front_table(summary);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  size_t rules = 0;
  for (const std::string& line : lines_of(text)) {
    CHECK_MESSAGE(display_width(line) <= 100, line);
    if (line.find("-----") == 0) ++rules;
  }
  CHECK(rules == 3);
}

TEST_CASE("front_table has a row for the user's own network, none for published ones") {
  RunSummary summary = two_networks();
  Baseline own;
  own.name = "today.onnx";
  own.accuracy = Accuracy{0.9371, 0.0024, 10000};
  own.macs = 31'000'000;
  own.params = 272'000;
  own.size_bytes = 1'090'000;
  Latency latency;
  latency.median_ms = 2.0;
  latency.low_ms = 1.98;
  latency.high_ms = 2.02;
  own.latencies = {{"local", latency}};
  Baseline published = own;
  published.name = "mnasnet";
  published.accuracy.reset();
  summary.baselines = {published, own};
  const std::string text = front_table(summary);
  CHECK(text.find("mnasnet") == std::string::npos);
  const size_t row = text.find("today.onnx");
  REQUIRE(row != std::string::npos);
  const std::string line = text.substr(row, text.find('\n', row) - row);
  for (const char* part :
       {"to compare with", "0.9371 ±0.0024", "2.000 ±1.0 %", "31.0 M", "272", "1.09 MB"}) {
    CHECK_MESSAGE(line.find(part) != std::string::npos, line);
  }
}

TEST_CASE("front_table tells what each step of compression left, and what it put behind") {
  support::SampleOptions options;
  options.compressed = true;
  const std::string text = front_table(support::sample_summary(options));
  CHECK(text.find("behind net-01-int8") != std::string::npos);
  CHECK(text.find("net-01-int8  inherited") != std::string::npos);
  for (const char* step : {"distilled", "pruned", "int8 "}) {
    CHECK_MESSAGE(text.find(std::string("             ") + step) != std::string::npos,
                  std::string(step));
  }
  options.devices = {"a rather long name", "another one", "a third", "a fourth", "and a fifth"};
  for (const std::string& line : lines_of(front_table(support::sample_summary(options)))) {
    CHECK_MESSAGE(display_width(line) <= 100, line);
  }
}

TEST_CASE("front_table works without a front, without devices and without confirmed values") {
  support::SampleOptions options;
  options.feasible_ms = 0.0;
  CHECK(front_table(support::sample_summary(options)) ==
        "no network satisfies the constraints: 400 candidates were evaluated\n");
  options.feasible_ms = 1.2;
  options.confirmed = false;
  const std::string searched = front_table(support::sample_summary(options));
  CHECK(searched.find(" ~") != std::string::npos);
  CHECK(searched.find("~ as searched, not confirmed\n") != std::string::npos);
  RunSummary bare = two_networks();
  for (FrontNetwork& network : bare.front) network.latencies.clear();
  CHECK(front_table(bare).find("ms @ no device") != std::string::npos);
}

TEST_CASE("milliseconds keeps at least three significant digits") {
  CHECK(milliseconds(0.0) == "0.000");
  CHECK(milliseconds(0.0123456) == "0.0123");
  CHECK(milliseconds(0.5) == "0.500");
  CHECK(milliseconds(9.8764) == "9.876");
  CHECK(milliseconds(12.345) == "12.35");
  CHECK(milliseconds(1234.56) == "1234.6");
  CHECK(milliseconds(12345678.0) == "1.235e+07");
}

TEST_CASE("shorten counts characters and not bytes") {
  CHECK(shorten("abc", 3) == "abc");
  CHECK(shorten("abcd", 3) == "ab…");
  CHECK(shorten("äöüß", 3) == "äö…");
  CHECK(shorten("äöü", 3) == "äöü");
  CHECK(shorten("abc", 1) == "…");
}

}  // namespace lathe::report
