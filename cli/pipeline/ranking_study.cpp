#include "cli/pipeline/ranking_study.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "core/error.h"
#include "search/evaluation/candidate.h"
#include "search/space/stratified_sample.h"

namespace lathe::cli {
namespace {

constexpr int64_t kUsualSubnets = 12;
constexpr double kUsualShare = 0.5;  ///< of the supernet's epochs
constexpr double kWarmupShare = 0.1;

report::Accuracy accuracy_of(const search::AccuracyEstimate& estimate) {
  return {estimate.top1, estimate.standard_error, estimate.images};
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// \throws ConfigError if the study in `file` is not what is asked for.
void check_wish(const std::filesystem::path& file, const report::Ranking& found,
                const RankingWish& wish) {
  const auto check = [&file](const char* name, double is, std::optional<double> wanted) {
    if (!wanted || *wanted == is) return;
    throw ConfigError(file.string() + ": " + name + " = " + number(is) + ", expected " +
                      number(*wanted) + "; leave the option out to go on with this study, or " +
                      "remove the file to begin another");
  };
  const auto real = [](std::optional<int64_t> value) {
    return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
  };
  check("subnets", static_cast<double>(found.subnets.size()), real(wish.subnets));
  check("epochs", found.epochs, wish.epochs);
  check("learning_rate", found.learning_rate, wish.learning_rate);
  check("seed", static_cast<double>(found.seed), real(wish.seed));
}

}  // namespace

RankingStudy::RankingStudy(const RunConfig& config, std::filesystem::path run,
                           const RankingWish& wish, supernet::Supernet& supernet)
    : config_(config), run_(std::move(run)), supernet_(supernet) {
  const auto file = run_ / "ranking.json";
  if (auto found = report::read_ranking(file)) {
    check_wish(file, *found, wish);
    ranking_ = std::move(*found);
  } else {
    begin(wish);
  }
}

void RankingStudy::begin(const RankingWish& wish) {
  const supernet::TrainOptions& train = config_.supernet.train;
  ranking_.space = config_.space->name();
  ranking_.dataset = supernet_.data().dataset;
  ranking_.seed = wish.seed ? static_cast<uint64_t>(*wish.seed) : config_.seed;
  ranking_.supernet_epochs = train.epochs;
  ranking_.epochs = wish.epochs.value_or(kUsualShare * train.epochs);
  ranking_.learning_rate = wish.learning_rate.value_or(train.learning_rate);
  ranking_.warmup_epochs = std::min(1.0, kWarmupShare * ranking_.epochs);
  const std::vector<search::Architecture> architectures =
      search::stratified_by_macs(*config_.space, wish.subnets.value_or(kUsualSubnets),
                                 Rng(ranking_.seed).derive("ranking subnets"));
  for (const search::Architecture& architecture : architectures) {
    const auto counted = search::make_candidate(*config_.space, architecture, 0).counted;
    const auto value = [&](search::MetricKind kind) {
      return static_cast<int64_t>(counted.at({kind, ""}).value);
    };
    report::RankedSubnet subnet;
    subnet.architecture = architecture.to_string();
    subnet.description = config_.space->describe(architecture);
    subnet.macs = value(search::MetricKind::Macs);
    subnet.params = value(search::MetricKind::Params);
    ranking_.subnets.push_back(std::move(subnet));
  }
  // What an abandoned study left does not fit this one.
  std::error_code error;
  std::filesystem::remove_all(run_ / "ranking", error);
}

void RankingStudy::save() const { report::write_ranking(run_ / "ranking.json", ranking_); }

bool RankingStudy::run(Progress& progress, const std::function<bool()>& stop) {
  if (ranking_.result) return true;
  std::vector<search::Candidate> candidates;
  for (size_t i = 0; i < ranking_.subnets.size(); ++i) {
    const auto architecture = search::Architecture::parse(ranking_.subnets[i].architecture);
    candidates.push_back(
        search::make_candidate(*config_.space, architecture, static_cast<int64_t>(i)).candidate);
  }
  if (ranking_.subnets.front().inherited.images == 0) {
    const auto inherited = supernet_.evaluator().evaluate(candidates, progress);
    for (size_t i = 0; i < candidates.size(); ++i) {
      ranking_.subnets[i].inherited = accuracy_of(*inherited[i]);
    }
    save();
  }
  for (size_t i = 0; i < candidates.size(); ++i) {
    report::RankedSubnet& subnet = ranking_.subnets[i];
    if (subnet.retrained) continue;
    supernet::Lesson lesson;
    lesson.students = {{*candidates[i].network, {}}};
    lesson.options.epochs = ranking_.epochs;
    lesson.options.learning_rate = ranking_.learning_rate;
    lesson.options.warmup_epochs = ranking_.warmup_epochs;
    lesson.options.seed = ranking_.seed;
    lesson.options.checkpoint = run_ / "ranking" / ("subnet-" + std::to_string(i + 1) + ".pt");
    lesson.options.title =
        "subnet " + std::to_string(i + 1) + " of " + std::to_string(candidates.size()) + " alone";
    const auto trained = supernet_.train_alone(lesson, progress, stop);
    if (trained.empty()) return false;
    subnet.retrained = accuracy_of(trained.front().validation);
    save();
    std::filesystem::remove(lesson.options.checkpoint);
  }
  ranking_.result = report::ranking_result(ranking_.subnets, ranking_.seed);
  save();
  std::error_code error;
  std::filesystem::remove_all(run_ / "ranking", error);
  return true;
}

}  // namespace lathe::cli
