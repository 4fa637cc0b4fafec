#include "cli/report/scaling_table.h"

#include <array>
#include <cstdio>
#include <vector>

#include "cli/text_table.h"
#include "core/progress.h"

namespace lathe::report {
namespace {

template <typename... Values>
std::string printed(const char* format, Values... values) {
  std::array<char, 160> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, values...);
  return buffer.data();
}

std::string cost_text(const Scaling& scaling, double cost) {
  return scaling.budget_metric == "macs" ? format_count(cost) : printed("%.4g ms", cost);
}

std::string factors_text(const Factors& factors) {
  return printed("%.2f %.2f %.2f", factors.depth, factors.width, factors.resolution);
}

std::string row_note(const FamilyNetwork& member) {
  if (member.same_as) return "as phi " + std::to_string(*member.same_as);
  if (!member.network.candidate_index) return "not evaluated";
  return member.network.cost ? "" : "failed";
}

}  // namespace

std::string scaling_table(const Scaling& scaling) {
  std::string text = "compound scaling of " + scaling.baseline + ", phi = 1 within " +
                     printed("%.3g", scaling.factor) + " times its " + scaling.budget_metric +
                     " (" + cost_text(scaling, scaling.budget_cost) + ")\n";
  if (scaling.fit) {
    const Factors& exponents = scaling.fit->exponents;
    text += printed("latency ~ depth^%.2f width^%.2f resolution^%.2f, R^2 %.3f, residual %.1f %%, ",
                    exponents.depth, exponents.width, exponents.resolution, scaling.fit->r_squared,
                    100.0 * scaling.fit->residual) +
            std::to_string(scaling.fit->points) + " networks\n";
  }
  if (scaling.family.empty()) {
    return text + "none of " + std::to_string(scaling.grid.size()) +
           " networks of the grid stays within the budget: there is no family\n";
  }
  cli::TextTable table({"phi", "asked d w r", "came to d w r", "predicted",
                        scaling.fit ? "measured" : "counted", "top-1", ""});
  for (const FamilyNetwork& member : scaling.family) {
    const ScaledNetwork& network = member.network;
    table.add({std::to_string(member.phi), factors_text(network.asked),
               factors_text(network.realised), cost_text(scaling, network.predicted),
               network.cost ? cost_text(scaling, *network.cost) : "-",
               network.top1 ? printed("%.2f %%", 100.0 * *network.top1) : "-", row_note(member)});
  }
  return text + table.text() +
         "the space has few choices: each factor takes the nearest, and none is beyond the "
         "largest\n";
}

}  // namespace lathe::report
