#include "cli/report/html_report.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/report/assets.h"
#include "cli/report/page_data.h"
#include "cli/report/text.h"
#include "core/error.h"
#include "tests/support/sample_summary.h"

namespace lathe::report {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The text between the first `begin` and the next `end`.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  REQUIRE(from != std::string::npos);
  const size_t to = text.find(end, from + begin.size());
  REQUIRE(to != std::string::npos);
  return text.substr(from + begin.size(), to - from - begin.size());
}

}  // namespace

TEST_CASE("html_report is one file that asks for nothing from outside") {
  const std::string page = html_report(support::sample_summary());
  CHECK(page.find("<!doctype html>") == 0);
  CHECK(contains(page, "<title>fashion – lathe</title>"));
  CHECK_FALSE(contains(page, "{{"));
  std::string rest = page;
  const std::string name_space = "http://www.w3.org/2000/svg";
  rest.erase(rest.find(name_space), name_space.size());
  for (const char* part : {"http:", "https:", "//cdn", "src=", "@import", "url(h", "fetch(",
                           "XMLHttpRequest", "innerHTML", "document.write", "eval("}) {
    CHECK_MESSAGE(!contains(rest, part), std::string(part));
  }
  CHECK(contains(page, "default-src 'none'"));
}

TEST_CASE("html_report names its script's hash in the policy") {
  const std::string page = html_report(RunSummary{});
  const std::string hash = between(page, "script-src 'sha256-", "'");
  CHECK(hash.size() == 44);
  CHECK(hash.back() == '=');
  CHECK(contains(page, "<script>\"use strict\";\n(() => {\n"));
}

TEST_CASE("html_report escapes hostile text in the title, the data and the table") {
  RunSummary summary = support::sample_summary();
  summary.name = "</title><script>alert(1)</script>";
  summary.config = "</script><script>alert(2)</script><!--";
  summary.front[0].id = "<img src=x onerror=alert(3)>";
  summary.search.candidates[0].description = "]]></SCRIPT ><svg onload=alert(4)>&amp;";
  const std::string page = html_report(summary);
  const std::string clean = html_report(support::sample_summary());
  const auto count = [](const std::string& text, const std::string& part) {
    size_t times = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
      ++times;
    return times;
  };
  CHECK(count(page, "<script") == count(clean, "<script"));
  CHECK(count(page, "</script") == count(clean, "</script"));
  CHECK(count(page, "<!--") == 0);
  CHECK_FALSE(contains(page, "<img"));
  CHECK_FALSE(contains(page, "</SCRIPT"));
  CHECK(
      contains(page, "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; – lathe</title>"));
  CHECK(contains(page, "&lt;img src=x onerror=alert(3)&gt;") == false);  // the table shortens it
  CHECK(contains(page, "&lt;img"));
}

TEST_CASE("page_data is JSON without markup that keeps every value") {
  RunSummary summary = support::sample_summary();
  summary.seed = std::numeric_limits<uint64_t>::max();
  summary.name = "a<b>&c\xe2\x80\xa8 \xff";
  summary.search.candidates[1].accuracy.reset();
  summary.search.candidates[2].failures = {{"accuracy", "internal", "lost"}};
  summary.search.candidates[1].screened = summary.search.candidates[5].screened = true;
  summary.search.candidates[3].screened = false;
  const std::string text = page_data(summary, nullptr);
  CHECK(text.find_first_of("<>&") == std::string::npos);
  const nlohmann::json page = nlohmann::json::parse(text);
  CHECK(page["seed"] == "18446744073709551615");
  CHECK(page["summary"]["name"] == "a<b>&c\xe2\x80\xa8 \xef\xbf\xbd");
  CHECK(page["summary"]["search"]["candidates"].empty());
  CHECK(page["summary"]["front"].size() == summary.front.size());
  const nlohmann::json& columns = page["candidates"];
  for (const auto& [name, column] : columns.items()) {
    if (name == "latencies" || name == "energies") continue;  // a column a device
    CHECK_MESSAGE(column.size() == 400, name);
  }
  CHECK(columns["energies"] == nlohmann::json::array({nullptr}));  // none was measured
  CHECK(columns["top1"][1].is_null());
  CHECK(columns["failure"][2] == "accuracy internal: lost");
  CHECK(columns["stopped_at"][1] == 0);  // it has no accuracy
  CHECK(columns["stopped_at"][3].is_null());
  CHECK(columns["stopped_at"][4].is_null());  // whether it was is not known
  CHECK(columns["stopped_at"][5] == 5000);
  for (size_t i = 0; i < 400; ++i) {
    const CandidateRecord& candidate = summary.search.candidates[i];
    const nlohmann::json& median = columns["latencies"][0]["median"][i];
    REQUIRE(median.is_null() == candidate.latencies.empty());
    if (candidate.latencies.empty()) continue;
    CHECK(std::abs(median.get<double>() / candidate.latencies[0].latency.median_ms - 1.0) < 1e-6);
  }
}

TEST_CASE("page_data names devices that only candidates or baselines know, once") {
  RunSummary summary = support::sample_summary();
  summary.search.candidates[5].latencies.push_back({"lost", Latency{}});
  summary.baselines[0].latencies.push_back({"other", Latency{}});
  const nlohmann::json page = nlohmann::json::parse(page_data(summary, nullptr));
  CHECK(page["devices"] == nlohmann::json({"local", "lost", "other"}));
}

TEST_CASE("html_report refuses a number that is not finite, with its field") {
  RunSummary summary = support::sample_summary();
  summary.search.candidates[3].latencies[0].latency.high_ms = std::nan("");
  CHECK_THROWS_WITH_AS(html_report(summary),
                       "report.html: candidate 3: high_ms = nan, expected a finite number",
                       InvariantError);
  summary = support::sample_summary();
  summary.front[1].blocks[0].macs_share = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(html_report(summary),
                       "summary.json: /front/1/blocks/0/macs_share = inf, expected a finite number",
                       InvariantError);
}

TEST_CASE("asset refuses a name that is not embedded") {
  CHECK(asset("main.js").find("drawAnswer") != std::string_view::npos);
  CHECK_THROWS_WITH_AS(asset("none.js"), "asset: there is none called none.js", InvariantError);
}

TEST_CASE("base64 agrees with the examples of RFC 4648") {
  CHECK(base64("").empty());
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foob") == "Zm9vYg==");
  CHECK(base64("fooba") == "Zm9vYmE=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xff\xfe\xfd") == "//79");
}

}  // namespace lathe::report
