#include "cli/pipeline/ranking_study.h"

#include <doctest/doctest.h>

#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "network/cost.h"
#include "tests/support/fake_supernet.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_space.h"

namespace lathe::cli {
namespace {

using test::message_of;

/// Networks inherit an accuracy that falls with their size and reach one that rises with it.
class RankedSupernet : public test::FakeSupernet, public search::AccuracyEvaluator {
 public:
  const supernet::DataSummary& data() const override { return data_; }
  search::AccuracyEvaluator& evaluator() override { return *this; }
  std::vector<Result<search::AccuracyEstimate>> evaluate(
      const std::vector<search::Candidate>& candidates, Progress&) override {
    std::vector<Result<search::AccuracyEstimate>> values;
    for (const search::Candidate& candidate : candidates) {
      values.emplace_back(estimate(-1.0, *candidate.network));
    }
    return values;
  }
  std::vector<supernet::ExtractedModel> train_alone(const supernet::Lesson& lesson, Progress&,
                                                    const std::function<bool()>& stop) override {
    if (stop()) return {};
    lessons.push_back(lesson);
    return {{{}, estimate(1.0, lesson.students.at(0).network)}};
  }

  std::vector<supernet::Lesson> lessons;

 private:
  static search::AccuracyEstimate estimate(double sign, const network::Network& network) {
    const auto macs = static_cast<double>(network::cost(network).macs);
    return {0.5 + sign * macs / 1e7, 0.01, 1000};
  }
  supernet::DataSummary data_;
};

struct Scene {
  Scene() {
    config.space = std::make_shared<test::ToySpace>();
    config.supernet.train.epochs = 8;
    config.supernet.train.learning_rate = 0.3;
    config.seed = 5;
  }
  RankingStudy study(const RankingWish& wish = {}) {
    return {config, folder.path(), wish, supernet};
  }

  test::TemporaryFolder folder;
  RunConfig config;
  RankedSupernet supernet;
};

const std::function<bool()> kNever = [] { return false; };

TEST_CASE("A ranking study trains each subnet alone from random weights by its defaults") {
  Scene scene;
  RankingStudy study = scene.study();
  CHECK(study.run(no_progress(), kNever));
  REQUIRE(scene.supernet.lessons.size() == 12);
  const supernet::Lesson& lesson = scene.supernet.lessons[2];
  CHECK(lesson.students.at(0).weights.empty());
  CHECK(lesson.teachers.empty());
  CHECK(lesson.options.epochs == 4.0);
  CHECK(lesson.options.learning_rate == 0.3);
  CHECK(lesson.options.warmup_epochs == doctest::Approx(0.4));
  CHECK(lesson.options.seed == 5);
  CHECK(lesson.options.title == "subnet 3 of 12 alone");
  const report::Ranking& ranking = study.ranking();
  CHECK(ranking.space == scene.config.space->name());
  CHECK(ranking.supernet_epochs == 8.0);
  for (size_t i = 1; i < 12; ++i) CHECK(ranking.subnets[i].macs >= ranking.subnets[i - 1].macs);
  CHECK(ranking.result->kendall == doctest::Approx(-1.0));
  CHECK(ranking.result->macs_kendall == doctest::Approx(1.0));
  const auto saved = report::read_ranking(scene.folder / "ranking.json").value();
  CHECK(report::ranking_to_json(saved) == report::ranking_to_json(ranking));
}

TEST_CASE(
    "A ranking study that was stopped trains only what is left, with what it was begun with") {
  Scene scene;
  RankingWish wish;
  wish.subnets = 5;
  wish.epochs = 1.5;
  wish.learning_rate = 0.05;
  wish.seed = 9;
  {
    RankingStudy study = scene.study(wish);
    int calls = 0;
    CHECK_FALSE(study.run(no_progress(), [&] { return calls++ == 3; }));
  }
  CHECK(scene.supernet.lessons.size() == 3);
  CHECK_FALSE(report::read_ranking(scene.folder / "ranking.json")->result.has_value());
  RankingStudy again = scene.study();
  CHECK(again.run(no_progress(), kNever));
  REQUIRE(scene.supernet.lessons.size() == 5);
  CHECK(scene.supernet.lessons.back().options.epochs == 1.5);
  CHECK(scene.supernet.lessons.back().options.seed == 9);
  CHECK(scene.study(wish).run(no_progress(), kNever));
  CHECK(scene.supernet.lessons.size() == 5);  // nothing is trained twice
}

TEST_CASE("A ranking study asked for differently is refused with both values") {
  Scene scene;
  RankingWish wish;
  wish.subnets = 4;
  scene.study(wish).run(no_progress(), kNever);
  wish.subnets = 6;
  const std::string file = (scene.folder / "ranking.json").string();
  const std::string rest =
      "; leave the option out to go on with this study, or remove the file to begin another";
  const auto refusal = [&] { return message_of<ConfigError>([&] { scene.study(wish); }); };
  CHECK(refusal() == file + ": subnets = 4, expected 6" + rest);
  wish = {};
  wish.epochs = 1.0;
  CHECK(refusal() == file + ": epochs = 4, expected 1" + rest);
  wish = {};
  wish.learning_rate = 0.1;
  CHECK(refusal() == file + ": learning_rate = 0.3, expected 0.1" + rest);
  wish = {};
  wish.seed = 6;
  CHECK(refusal() == file + ": seed = 5, expected 6" + rest);
}

TEST_CASE("A new ranking study removes what an abandoned one was training") {
  Scene scene;
  write_file_atomically(scene.folder / "ranking" / "subnet-1.pt", "of another study");
  RankingWish wish;
  wish.subnets = 4;
  RankingStudy study = scene.study(wish);
  CHECK_FALSE(std::filesystem::exists(scene.folder / "ranking"));
}

}  // namespace
}  // namespace lathe::cli
