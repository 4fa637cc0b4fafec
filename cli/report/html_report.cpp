#include "cli/report/html_report.h"

#include <map>
#include <string_view>

#include "cli/report/assets.h"
#include "cli/report/front_table.h"
#include "cli/report/page_data.h"
#include "cli/report/text.h"
#include "core/error.h"
#include "core/file.h"

namespace lathe::report {
namespace {

/// Replaces every {{name}} of the template in one pass, so that values are never searched
/// themselves.
std::string expand(std::string_view text, const std::map<std::string_view, std::string>& values) {
  std::string page;
  size_t from = 0;
  for (size_t open = text.find("{{"); open != std::string_view::npos;
       open = text.find("{{", from)) {
    const size_t close = text.find("}}", open);
    const std::string_view name = text.substr(open + 2, close - open - 2);
    const auto found = values.find(name);
    if (found == values.end()) {
      throw InvariantError("report.html: the template asks for " + std::string(name) +
                           ", which has no value");
    }
    page += text.substr(from, open - from);
    page += found->second;
    from = close + 2;
  }
  page += text.substr(from);
  return page;
}

std::string script() {
  std::string text = "\"use strict\";\n(() => {\n";
  for (const char* name :
       {"base.js", "select.js", "answer.js", "pareto.js", "findings.js", "charts.js", "networks.js",
        "scaling.js", "ranking.js", "sections.js", "main.js"}) {
    text += asset(name);
  }
  return text + "})();\n";
}

/// Base64 of the SHA-256, as a Content-Security-Policy names an inline script.
std::string policy_hash(const std::string& text) {
  const std::string hex = sha256_hex(text);
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return base64(bytes);
}

}  // namespace

std::string html_report(const RunSummary& summary, const Ranking* ranking) {
  const std::string code = script();
  return expand(asset("report.html"), {{"title", html_text(summary.name + " – lathe")},
                                       {"style", std::string(asset("report.css"))},
                                       {"script_hash", policy_hash(code)},
                                       {"table", html_text(front_table(summary))},
                                       {"data", page_data(summary, ranking)},
                                       {"script", code}});
}

}  // namespace lathe::report
