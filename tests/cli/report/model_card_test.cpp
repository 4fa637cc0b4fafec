#include "cli/report/model_card.h"

#include <doctest/doctest.h>

#include <string>

#include "cli/report/text.h"
#include "tests/support/sample_summary.h"

namespace lathe::report {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("model_card says everything that somebody who deploys the network needs") {
  RunSummary summary = support::sample_summary();
  FrontNetwork& network = summary.front.front();
  network.test = Accuracy{0.9087, 0.00288, 10000};
  network.latencies[0].confirmed->median_ms = 1.1;
  network.latencies[0].confirmed->low_ms = 1.09;
  network.latencies[0].confirmed->high_ms = 1.125;
  const std::string card = model_card(summary, network);
  CHECK(card.find("# net-01 of fashion\n") == 0);
  CHECK(contains(card, "An image classifier with 10 classes (most accurate of its run)"));
  CHECK(contains(card, "| test accuracy | 90.87 % ± 0.29 % |\n"));
  CHECK(contains(card, "| latency on local | 1.100 ms \\[1.090, 1.125\\] |") == false);
  CHECK(contains(card, "| latency on local | 1.100 ms [1.090, 1.125] |\n"));
  CHECK(contains(card, "under latency@local \\<= 1.2 ms, params \\<= 1.00 M."));
  CHECK(contains(card, "float32, layout NCHW, [1, 1, 28, 28]."));
  CHECK(contains(card, "(pixel * 0.00392156863 - mean) / std per channel."));
  CHECK(contains(card, "Mean: [0.286], std: [0.353]."));
  CHECK(contains(card, "0 T-shirt/top, 1 Trouser,"));
  CHECK(contains(card, "| test | 0.9087 | 0.0029 | 10000 |\n"));
  CHECK(contains(card, "| calibration | 2000 | 12ab90ce41f7d310 |\n"));
  CHECK(contains(
      card, "The test split was read once, when the search had ended (2026-11-20T06:56:58Z)."));
  CHECK(contains(card, "local (Intel Xeon Gold 6338)"));
  CHECK(contains(
      card, "xnnpack 2022-02, fp32, 1 thread, x86\\_64 avx512, governor performance, 2.9 GHz"));
  CHECK(contains(card, "| export/net-01.onnx | onnx | fp32 |"));
  CHECK(contains(
      card,
      "onnxruntime-node 1.17.0 agrees with the trained network within 3.8e-06 on every logit and "
      "on 100 % of the classes of 1000 images."));
  CHECK(contains(card, "## Limits\n"));
  CHECK(contains(card, "`lathe run configs/quickstart.yaml` with seed 7, lathe 0.1.0.\n"));
  CHECK(count_of(card, "| mbconv") + 3 == network.blocks.size());
}

TEST_CASE("model_card of an int8 network says what it is, what made it and who agrees with it") {
  support::SampleOptions options;
  options.compressed = true;
  const RunSummary summary = support::sample_summary(options);
  const std::string card = model_card(summary, summary.front.at(1));
  CHECK(contains(card, "| values | int8 (QDQ"));
  CHECK(contains(card, "## How it was made"));
  for (const char* step : {"inherited", "distilled", "pruned", "int8 (observer \\<mse\\>)"}) {
    CHECK_MESSAGE(contains(card, std::string("| ") + step + " | "), std::string(step));
  }
  CHECK(contains(card, " agrees with the engine of the device within "));
  CHECK_FALSE(
      contains(model_card(support::sample_summary(), summary.front.at(2)), "## How it was made"));
}

TEST_CASE("model_card says plainly what is not known") {
  support::SampleOptions options;
  options.confirmed = false;
  RunSummary summary = support::sample_summary(options);
  FrontNetwork& network = summary.front.front();
  network.feasible = false;
  network.latencies[0].conditions.reset();
  const std::string card = model_card(summary, network);
  CHECK(contains(card, "| validation accuracy |"));
  CHECK(contains(card, "(not confirmed) |\n"));
  CHECK(contains(card, "The test split was not read for this network.\n"));
  CHECK(contains(card, "## Files\n\nNot exported.\n"));
  CHECK(contains(card, "| constraints | **not all satisfied** |\n"));
  CHECK(contains(card, "was not confirmed by a fresh measurement"));
  CHECK(contains(card, "does not satisfy every constraint"));
}

TEST_CASE("model_card does not call a table's latency a measurement") {
  RunSummary summary = support::sample_summary();
  FrontNetwork& network = summary.front.front();
  network.latencies[0].conditions = Conditions();
  network.latencies[0].conditions->engine = "replay";
  CHECK(contains(model_card(summary, network), "| not measured: replayed from a table |\n"));
  network.latencies[0].conditions->extra["table"] = "t.csv";
  CHECK(contains(model_card(summary, network), "| not measured: replayed from t.csv |\n"));
}

TEST_CASE("model_card counts the reads of the test split truthfully") {
  RunSummary summary = support::sample_summary();
  summary.data.test_reads = 3;
  CHECK(contains(model_card(summary, summary.front.front()), "The test split was opened 3 times"));
}

TEST_CASE("model_card escapes names that would break its tables or inject markup") {
  RunSummary summary = support::sample_summary();
  summary.data.classes[0] = "a|b\n<script>alert(1)</script>";
  summary.front[0].id = "net`01*";
  summary.command = "lathe `id`";
  summary.devices[0].agents[0].model = "[x](javascript:alert(1))";
  const std::string card = model_card(summary, summary.front[0]);
  CHECK_FALSE(contains(card, "<script>"));
  CHECK(contains(card, "0 a\\|b?\\<script\\>alert(1)\\</script\\>"));
  CHECK(card.find("# net\\`01\\* of fashion\n") == 0);
  CHECK(contains(card, "`lathe 'id'` with seed 7"));
  CHECK(contains(card, "(\\[x\\](javascript:alert(1)))"));
}

TEST_CASE("model_card works for an empty network of an empty run") {
  const std::string card = model_card(RunSummary{}, FrontNetwork{});
  CHECK(contains(card, "with 0 classes"));
  CHECK(contains(card, "| validation accuracy | 0 % ± 0 % |"));
}

}  // namespace lathe::report
