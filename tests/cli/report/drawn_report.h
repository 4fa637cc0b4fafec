#pragma once

#include <doctest/doctest.h>

#include <string>

#include "cli/report/html_report.h"
#include "cli/report/text.h"
#include "tests/support/headless_browser.h"
#include "tests/support/sample_summary.h"

// What the tests of the report in a real browser share.

namespace lathe::report {

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The value of the first attribute `name`, or "absent".
inline std::string attribute(const std::string& document, const std::string& name) {
  const std::string begin = " " + name + "=\"";
  const size_t from = document.find(begin);
  if (from == std::string::npos) return "absent";
  return document.substr(from + begin.size(),
                         document.find('"', from + begin.size()) - from - begin.size());
}

/// The document without the data, style and script that the page carries, which hold the same
/// words.
inline std::string drawn(std::string document) {
  for (const char* tag : {"script", "style", "noscript"}) {
    const std::string begin = std::string("<") + tag;
    const std::string end = std::string("</") + tag + ">";
    for (size_t from = document.find(begin); from != std::string::npos;
         from = document.find(begin, from)) {
      document.erase(from, document.find(end, from) + end.size() - from);
    }
  }
  return document;
}

/// Draws the report and checks that every section went well.
inline std::string draw(const RunSummary& summary, const Ranking* ranking = nullptr) {
  const std::string document =
      drawn(support::document_after_scripts(html_report(summary, ranking)));
  const std::string error = attribute(document, "data-error");
  CHECK_MESSAGE(error == "absent", error);
  CHECK(attribute(document, "data-ready") == "true");
  return document;
}

/// How many candidates the plot drew as dots, counted in its paths, and says it left out.
inline size_t dots(const std::string& document) {
  return count_of(document, "h0M") + count_of(document, "h0\"");
}

inline size_t number(const std::string& document, const std::string& name) {
  const std::string text = attribute(document, name);
  REQUIRE_MESSAGE(text != "absent", name);
  return std::stoul(text);
}

/// Draws the report with `script` added after its own, which the page's policy would refuse, so
/// without that.
inline std::string draw_and_run(const RunSummary& summary, const std::string& script) {
  std::string page = html_report(summary);
  const size_t policy = page.find("<meta http-equiv=\"Content-Security-Policy\"");
  REQUIRE(policy != std::string::npos);
  page.erase(policy, page.find('>', policy) + 1 - policy);
  page.insert(page.rfind("</body>"),
              "<script>const root = document.documentElement; const say = (name, value) => "
              "root.setAttribute('data-said-' + name, value);\n" +
                  script + "</script>");
  const std::string document = drawn(support::document_after_scripts(page));
  CHECK(attribute(document, "data-error") == "absent");
  return document;
}

}  // namespace lathe::report
