#include "cli/pipeline/findings_summary.h"

#include <doctest/doctest.h>

#include <limits>

namespace lathe::cli {
namespace {

TEST_CASE("racing_of gives what racing saved, and nothing where nothing races") {
  search::SearchOptions options;
  options.racing = true;
  search::RacingReport racing;
  racing.screened = 7;
  racing.images = 9000;
  racing.images_saved = 1000;
  racing.board_time_saved_s = -2.5;
  const auto found = racing_of(options, racing);
  REQUIRE(found.has_value());
  CHECK(found->screened == 7);
  CHECK(found->images == 9000);
  CHECK(found->images_saved == 1000);
  CHECK(found->board_seconds_saved == -2.5);
  options.racing = false;
  CHECK_FALSE(racing_of(options, racing).has_value());
  options.racing = true;
  options.strategy.name = "compound_scaling";
  CHECK_FALSE(racing_of(options, racing).has_value());
}

TEST_CASE("learned_of keeps every model of every metric, and no value that is not finite") {
  CHECK_FALSE(learned_of({}).has_value());
  models::ModelReport ridge{"ridge", 40, 0.5, 0.1, 0.8, 0.6, 0.9, 1.0};
  models::ModelReport wild = ridge;
  wild.model = "boosted_trees";
  wild.weight = 0.0;
  wild.mape = std::numeric_limits<double>::infinity();
  wild.explained = -std::numeric_limits<double>::infinity();
  const auto found = learned_of({{search::parse_metric("accuracy"), true, {ridge, wild}},
                                 {search::parse_metric("latency@pi4"), false, {}}});
  REQUIRE(found.has_value());
  REQUIRE(found->size() == 2);
  const report::LearnedMetric& accuracy = found->at(0);
  CHECK(accuracy.metric == "accuracy");
  CHECK(accuracy.on);
  REQUIRE(accuracy.models.size() == 2);
  CHECK(accuracy.models[0].model == "ridge");
  CHECK(accuracy.models[0].labels == 40);
  CHECK(accuracy.models[0].explained == 0.5);
  CHECK(accuracy.models[0].mape == 0.1);
  CHECK(accuracy.models[0].spearman == 0.8);
  CHECK(accuracy.models[0].kendall == 0.6);
  CHECK(accuracy.models[0].coverage == 0.9);
  CHECK(accuracy.models[0].weight == 1.0);
  CHECK_FALSE(accuracy.models[1].mape.has_value());
  CHECK_FALSE(accuracy.models[1].explained.has_value());
  CHECK(accuracy.models[1].spearman == 0.8);
  CHECK(found->at(1).metric == "latency@pi4");
  CHECK_FALSE(found->at(1).on);
  CHECK(found->at(1).models.empty());
}

}  // namespace
}  // namespace lathe::cli
