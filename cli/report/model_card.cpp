#include "cli/report/model_card.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cli/report/text.h"
#include "core/progress.h"
#include "core/text.h"

namespace lathe::report {
namespace {

std::string percent(double value) { return significant(100.0 * value, 4) + " %"; }

std::string row(const std::vector<std::string>& cells) {
  return "| " + join(cells, " | ") + " |\n";
}

std::string table_head(const std::vector<std::string>& cells) {
  std::string rule = "|";
  for (size_t i = 0; i < cells.size(); ++i) rule += "---|";
  return row(cells) + rule + "\n";
}

std::string latency_text(const Latency& latency) {
  return milliseconds(latency.median_ms) + " ms [" + milliseconds(latency.low_ms) + ", " +
         milliseconds(latency.high_ms) + "]";
}

std::string energy_text(const Energy& energy) {
  return milliseconds(energy.mean_mj) + " mJ [" + milliseconds(energy.low_mj) + ", " +
         milliseconds(energy.high_mj) + "]";
}

const Latency* best_of(const FrontLatency& latency) {
  if (latency.confirmed) return &*latency.confirmed;
  return latency.searched ? &*latency.searched : nullptr;
}

std::string head(const RunSummary& summary, const FrontNetwork& network) {
  std::string text = "# " + markdown(network.id) + " of " + markdown(summary.name) + "\n\n";
  text += "An image classifier with " + std::to_string(summary.data.classes.size()) + " classes";
  if (!network.roles.empty()) text += " (" + markdown(join(network.roles, ", ")) + " of its run)";
  text += ", found by hardware-aware architecture search with lathe " +
          markdown(summary.lathe_version) + ".\n\n";
  text += table_head({"", ""});
  const Accuracy& accuracy = network.test ? *network.test : network.validation;
  text += row(
      {network.test ? "test accuracy" : "validation accuracy",
       percent(accuracy.top1) + " ± " + significant(100.0 * accuracy.standard_error, 2) + " %"});
  for (const FrontLatency& latency : network.latencies) {
    const Latency* best = best_of(latency);
    if (best == nullptr) continue;
    text += row({"latency on " + markdown(latency.device),
                 latency_text(*best) + (latency.confirmed ? "" : " (not confirmed)")});
    if (best->energy) {
      text += row({"energy on " + markdown(latency.device),
                   energy_text(*best->energy) + (latency.confirmed ? "" : " (not confirmed)")});
    }
  }
  if (network.precision) {
    text += row({"values", *network.precision == "int8" ? "int8 (QDQ: weights a scale a channel, "
                                                          "activations a scale a tensor)"
                                                        : "fp32"});
  }
  text += row({"multiply-accumulates", format_count(static_cast<double>(network.macs))});
  text += row({"parameters", format_count(static_cast<double>(network.params))});
  text +=
      row({"peak activation memory", format_bytes(static_cast<double>(network.peak_memory_bytes))});
  if (!network.feasible) text += row({"constraints", "**not all satisfied**"});
  return text + "\n";
}

std::string intended_use(const RunSummary& summary) {
  std::string text = "## Intended use\n\nClassification of single images like those of " +
                     markdown(summary.data.dataset) +
                     " on a device like the ones below, one image at a "
                     "time. It was chosen for its accuracy and latency together";
  std::vector<std::string> bounds;
  for (const ConstraintRecord& bound : summary.search.constraints)
    bounds.push_back(markdown(bound.text));
  if (!bounds.empty()) text += ", under " + join(bounds, ", ");
  return text + ".\n\n";
}

std::string input(const RunSummary& summary, const FrontNetwork& network) {
  const Preprocessing& pre = summary.data.preprocessing;
  const std::string side = std::to_string(network.resolution);
  std::string text = "## Input and output\n\n";
  text += "- Input: float32, layout " + markdown(pre.layout) + ", [1, " +
          std::to_string(pre.channels) + ", " + side + ", " + side + "].\n";
  text += "- Preprocessing: resize to " + side + " x " + side +
          " pixels where the image has another size, then (pixel * " + significant(pre.scale, 9) +
          " - mean) / std per channel.\n";
  std::vector<std::string> mean;
  std::vector<std::string> deviation;
  for (const double value : pre.mean) mean.push_back(significant(value, 7));
  for (const double value : pre.std) deviation.push_back(significant(value, 7));
  text += "- Mean: [" + join(mean, ", ") + "], std: [" + join(deviation, ", ") + "].\n";
  text += "- Output: " + std::to_string(summary.data.classes.size()) +
          " logits; the largest names the class. Softmax gives scores that are not calibrated.\n";
  if (summary.data.classes.empty()) return text + "\n";
  text += "- Classes in order:";
  for (size_t i = 0; i < summary.data.classes.size(); ++i) {
    text += (i == 0 ? " " : ", ") + std::to_string(i) + " " + markdown(summary.data.classes[i]);
  }
  return text + ".\n\n";
}

std::string accuracy(const RunSummary& summary, const FrontNetwork& network) {
  std::string text = "## Data and accuracy\n\nData set: " + markdown(summary.data.dataset) +
                     ". The splits are disjoint.\n\n";
  text += table_head({"split", "images", "hash of its indices"});
  for (const Split& split : summary.data.splits) {
    text += row({markdown(split.name), std::to_string(split.images), markdown(split.hash)});
  }
  text += "\n" + table_head({"accuracy", "top-1", "standard error", "images"});
  const auto line = [](const std::string& name, const Accuracy& value) {
    return row(
        {name, fraction(value.top1), fraction(value.standard_error), std::to_string(value.images)});
  };
  text += line("validation (the search chose by it, so it is optimistic)", network.validation);
  const bool int8 = network.precision && *network.precision == "int8";
  if (network.test) {
    text += line(int8 ? "test, computed by the engine of the device" : "test", *network.test);
  }
  text += "\n";
  if (!network.test) return text + "The test split was not read for this network.\n\n";
  if (summary.data.test_reads == 1) {
    text += "The test split was read once, when the search had ended";
  } else {
    text += "The test split was opened " + std::to_string(summary.data.test_reads) +
            " times, each time when a search had ended; the search itself cannot read it";
  }
  if (!summary.data.test_opened_at.empty()) {
    text += std::string(summary.data.test_reads == 1 ? " (" : " (first ") +
            markdown(summary.data.test_opened_at) + ")";
  }
  return text + ".\n\n";
}

std::string conditions_text(const Conditions& conditions) {
  if (conditions.engine == "replay") {
    const auto table = conditions.extra.find("table");
    return "not measured: replayed from " +
           (table == conditions.extra.end() ? "a table" : markdown(table->second));
  }
  std::string text = markdown(conditions.engine) + " " + markdown(conditions.engine_version) +
                     ", " + markdown(conditions.precision) + ", " +
                     std::to_string(conditions.threads) +
                     (conditions.threads == 1 ? " thread" : " threads");
  if (!conditions.isa.empty()) text += ", " + markdown(conditions.isa);
  if (!conditions.governor.empty()) text += ", governor " + markdown(conditions.governor);
  if (conditions.frequency_hz)
    text += ", " + significant(*conditions.frequency_hz / 1e9, 3) + " GHz";
  if (conditions.temperature_c) text += ", " + significant(*conditions.temperature_c, 3) + " °C";
  return text;
}

/// The boards' models, for readers who do not know the configuration's names.
std::string boards(const RunSummary& summary, const std::string& name) {
  std::vector<std::string> models;
  for (const Device& device : summary.devices) {
    if (device.name != name) continue;
    for (const Agent& agent : device.agents) {
      if (!agent.model.empty()) models.push_back(markdown(agent.model));
    }
  }
  return join(models, ", ");
}

/// Empty where none was measured.
std::string energy_table(const FrontNetwork& network) {
  std::string rows;
  for (const FrontLatency& entry : network.latencies) {
    const Latency* best = best_of(entry);
    if (best == nullptr || !best->energy) continue;
    const auto text = [](const std::optional<Latency>& latency) {
      return latency && latency->energy ? energy_text(*latency->energy) : std::string("-");
    };
    rows += row({markdown(entry.device), text(entry.searched), text(entry.confirmed),
                 significant(best->energy->power_w, 3) + " W", markdown(best->energy->sensor)});
  }
  if (rows.empty()) return "";
  return "Energy of one inference, run without pause: mean [confidence interval]. It includes what "
         "would be drawn idle by all that the sensor covers.\n\n" +
         table_head({"device", "during the search", "confirmed afterwards", "power", "sensor"}) +
         rows + "\n";
}

std::string latency(const RunSummary& summary, const FrontNetwork& network) {
  std::string text =
      "## Latency\n\nOf one inference at batch 1 with the input in memory: median [confidence "
      "interval]. It holds for these devices under these conditions and for no others.\n\n";
  text += table_head({"device", "during the search", "confirmed afterwards", "p99", "conditions"});
  for (const FrontLatency& entry : network.latencies) {
    const Latency* best = best_of(entry);
    std::string device = markdown(entry.device);
    const std::string models = boards(summary, entry.device);
    if (!models.empty()) device += " (" + models + ")";
    text += row({device, entry.searched ? latency_text(*entry.searched) : "-",
                 entry.confirmed ? latency_text(*entry.confirmed) : "-",
                 best != nullptr ? milliseconds(best->p99_ms) + " ms" : "-",
                 entry.conditions ? conditions_text(*entry.conditions) : "-"});
  }
  return text + "\n" + energy_table(network);
}

std::string files(const FrontNetwork& network) {
  std::string text = "## Files\n\n";
  if (network.files.empty()) return text + "Not exported.\n\n";
  text += table_head({"file", "format", "precision", "size", "SHA-256"});
  for (const ExportedFile& file : network.files) {
    text += row({markdown(file.path), markdown(file.format), markdown(file.precision),
                 format_bytes(static_cast<double>(file.size_bytes)), markdown(file.sha256)});
  }
  text += "\n";
  if (!network.parity) return text + "Parity with an independent runtime was not checked.\n\n";
  const Parity& parity = *network.parity;
  const bool int8 = network.precision && *network.precision == "int8";
  return text + "Parity: " + markdown(parity.runtime) + " agrees with " +
         (int8 ? "the engine of the device" : "the trained network") + " within " +
         significant(parity.max_abs_error, 2) + " on every logit and on " +
         percent(parity.top1_agreement) + " of the classes of " + std::to_string(parity.images) +
         " images.\n\n";
}

/// Empty where the weights are the inherited ones.
std::string steps(const FrontNetwork& network) {
  if (!network.steps) return "";
  std::string text =
      "## How it was made\n\nWhat each step left: accuracy on the validation split, latency as "
      "confirmed in the precision of the step.\n\n";
  std::vector<std::string> head = {"step", "accuracy"};
  const std::vector<DeviceLatency>& devices = network.steps->front().latencies;
  for (const DeviceLatency& entry : devices) head.push_back(markdown(entry.device));
  head.insert(head.end(), {"MACs", "weights", "activation memory"});
  text += table_head(head);
  for (const NetworkStep& step : *network.steps) {
    std::vector<std::string> cells = {
        markdown(step.name) + (step.note.empty() ? "" : " (" + markdown(step.note) + ")"),
        percent(step.validation.top1)};
    for (const DeviceLatency& entry : step.latencies) cells.push_back(latency_text(entry.latency));
    cells.insert(cells.end(), {format_count(static_cast<double>(step.macs)),
                               format_bytes(static_cast<double>(step.weight_bytes)),
                               format_bytes(static_cast<double>(step.peak_memory_bytes))});
    text += row(cells);
  }
  return text + "\n";
}

bool was_pruned(const FrontNetwork& network) {
  return network.steps &&
         std::any_of(network.steps->begin(), network.steps->end(),
                     [](const NetworkStep& step) { return step.name == "pruned"; });
}

std::string structure(const FrontNetwork& network) {
  std::string text =
      "## Structure\n\nArchitecture " + markdown_code(network.architecture) +
      (was_pruned(network) ? " as it was searched, before channels were pruned" : "") + ".\n\n";
  if (network.blocks.empty()) return text;
  text +=
      table_head({"stage", "block", "kernel", "expand", "width", "activation", "output", "MACs"});
  for (const Block& block : network.blocks) {
    text +=
        row({markdown(block.stage), markdown(block.family) + (block.squeeze_excite ? " + SE" : ""),
             std::to_string(block.kernel), significant(block.expand, 3),
             std::to_string(block.width), markdown(block.activation),
             std::to_string(block.resolution), significant(100.0 * block.macs_share, 3) + " %"});
  }
  return text + "\n";
}

std::string limits(const RunSummary& summary, const FrontNetwork& network) {
  std::string text =
      "## Limits\n\n"
      "- The accuracy is that of the data set's own distribution; other cameras, crops or classes "
      "need a test of "
      "their own. No analysis of fairness or of robustness was made.\n"
      "- The latency does not transfer: another board, runtime, thread count, clock or temperature "
      "ranks networks "
      "differently. Measure again with `lathe measure`.\n";
  if (!network.steps) {
    text +=
        "- The weights come from a supernet in which networks share them; training this network "
        "alone may raise its accuracy.\n";
  }
  for (const FrontLatency& latency : network.latencies) {
    if (!latency.confirmed) {
      text += "- The latency on " + markdown(latency.device) +
              " was not confirmed by a fresh measurement; the best of many noisy values tends to "
              "be too good.\n";
    }
  }
  if (!network.feasible)
    text += "- With its confirmed values it does not satisfy every constraint.\n";
  text += "\n## How to repeat\n\n" + markdown_code(summary.command) + " with seed " +
          std::to_string(summary.seed) + ", lathe " + markdown(summary.lathe_version) + ".\n";
  return text;
}

}  // namespace

std::string model_card(const RunSummary& summary, const FrontNetwork& network) {
  return head(summary, network) + intended_use(summary) + input(summary, network) +
         accuracy(summary, network) + latency(summary, network) + files(network) + steps(network) +
         structure(network) + limits(summary, network);
}

}  // namespace lathe::report
