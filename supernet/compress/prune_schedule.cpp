#include "supernet/compress/prune_schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "network/cost.h"
#include "network/digest.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/pruning/prune.h"
#include "search/evaluation/candidate.h"

namespace lathe::supernet {
namespace {

/// What goes in every round where only an accuracy says when to end.
constexpr double kShareWithoutTarget = 0.9;

constexpr std::array<std::pair<PruneEnd, const char*>, 5> kEnds = {{
    {PruneEnd::Target, "target"},
    {PruneEnd::Floor, "floor"},
    {PruneEnd::Rounds, "rounds"},
    {PruneEnd::Exhausted, "exhausted"},
    {PruneEnd::Stopped, "stopped"},
}};

PruneTarget target_or_macs(const PruneOptions& options) {
  if (options.target) return *options.target;
  const double factor = std::pow(kShareWithoutTarget, static_cast<double>(options.rounds));
  return {{search::MetricKind::Macs, ""}, factor, 0.0};
}

void check(const PruneOptions& options, const search::LatencyEvaluator* latency) {
  if (!options.enabled())
    throw ConfigError("prune: no target and no accuracy_drop, expected at least one");
  if (!options.target || options.target->metric.kind != search::MetricKind::Latency) return;
  const std::string& device = options.target->metric.device;
  if (latency == nullptr || latency->device() != device) {
    throw ConfigError("prune: target " + to_string(*options.target) +
                      ", expected a device called " + device +
                      (latency == nullptr ? "" : ", not " + latency->device()));
  }
}

PruneRound record(int64_t number, const search::MetricValue& value, const ExtractedModel& before,
                  const ExtractedModel& after) {
  const network::Cost cost = network::cost(after.model.network);
  PruneRound round;
  round.round = number;
  round.value = value;
  round.macs = cost.macs;
  round.params = cost.params;
  round.top1_pruned = before.validation.top1;
  round.validation = after.validation;
  return round;
}

}  // namespace

const char* to_string(PruneEnd end) {
  for (const auto& [known, name] : kEnds) {
    if (known == end) return name;
  }
  throw InvariantError("PruneEnd = " + std::to_string(static_cast<int>(end)) +
                       ", expected a known end");
}

PruneEnd prune_end_from_string(const std::string& name) {
  for (const auto& [end, known] : kEnds) {
    if (name == known) return end;
  }
  throw DataError("end of pruning = " + name +
                  ", expected one of target, floor, rounds, exhausted, stopped");
}

PruneSchedule::PruneSchedule(Supernet& supernet, PruneOptions options,
                             search::LatencyEvaluator* latency, uint64_t seed)
    : supernet_(supernet),
      options_(std::move(options)),
      target_(target_or_macs(options_)),
      latency_(latency),
      seed_(seed) {
  check(options_, latency);
}

std::string PruneSchedule::identity(const network::Model& model,
                                    const network::Model* teacher) const {
  const PruneOptions& o = options_;
  std::string text = "model " + sha256_hex(network::to_onnx(model)) + "\nteacher " +
                     (teacher ? sha256_hex(network::to_onnx(*teacher)) : "none") + "\nseed " +
                     std::to_string(seed_) + "\ntarget " + to_string(target_) + "\n" +
                     supernet_.training_identity();
  const auto add = [&text](const char* name, const std::string& value) {
    text += std::string("\n") + name + " " + value;
  };
  add("accuracy_drop", o.accuracy_drop ? std::to_string(*o.accuracy_drop) : "none");
  add("criterion", network::to_string(o.criterion));
  add("ranking", network::to_string(o.ranking));
  add("channel_multiple", std::to_string(o.channel_multiple));
  add("images", std::to_string(o.images));
  add("rounds", std::to_string(o.rounds));
  add("finetune_epochs", std::to_string(o.finetune_epochs));
  add("learning_rate", std::to_string(o.learning_rate));
  add("sparsity", std::to_string(o.sparsity));
  add("sparsity_epochs", std::to_string(o.sparsity_epochs));
  return text;
}

search::MetricValue PruneSchedule::measure(const network::Network& network) {
  if (target_.metric.kind != search::MetricKind::Latency)
    return search::counted_metrics(network).at(target_.metric);
  search::Candidate candidate;
  candidate.network = std::make_shared<network::Network>(network);
  candidate.computation = network::digest(network, network::DigestKind::Computation);
  candidate.structure = network::digest(network::deploy(network), network::DigestKind::Structure);
  const auto measured = latency_->measure(candidate, latency_->default_plan()).get();
  if (!measured.ok()) {
    throw DeviceError("device " + latency_->device() + ": measuring a pruned network: " +
                      to_string(measured.failure().kind) + ": " + measured.failure().message);
  }
  return search::latency_value(*measured);
}

double PruneSchedule::goal_of(int64_t round, double before) const {
  const double last = target_.factor > 0.0 ? target_.factor * before : target_.bound;
  if (round == options_.rounds) return last;
  const double share = static_cast<double>(round) / static_cast<double>(options_.rounds);
  return before * std::pow(last / before, share);
}

std::optional<PruneSchedule::Cut> PruneSchedule::cut(const network::Model& model, double goal,
                                                     int64_t round) {
  const std::vector<network::ChannelGroup> groups = network::find_channel_groups(model.network);
  Supernet::ChannelScoreOptions scoring;
  scoring.criterion = options_.criterion;
  scoring.images = options_.images;
  scoring.seed = Rng(seed_).derive("scores", static_cast<uint64_t>(round)).seed();
  network::RemovalOptions removal;
  removal.ranking = options_.ranking;
  removal.channel_multiple = options_.channel_multiple;
  removal.normalise_layers = options_.criterion != network::PruneCriterion::Fisher;
  const network::ChannelScores scores = supernet_.channel_scores(model, groups, scoring);
  if (std::all_of(scores.begin(), scores.end(), [](const auto& each) { return each.empty(); })) {
    throw ConfigError(std::string("prune: criterion ") + network::to_string(options_.criterion) +
                      " judges no layer of the network, expected another criterion");
  }
  const std::vector<network::RemovalStep> order =
      network::removal_order(model.network, groups, scores, removal);
  if (order.empty()) return std::nullopt;

  const auto value_after = [&](size_t steps) {
    return measure(network::prune(model.network, channels_of_steps(groups, order, steps)));
  };
  size_t too_few = 0;
  size_t enough = order.size();
  search::MetricValue value = value_after(enough);
  const bool reaches_goal = value.high <= goal;
  while (reaches_goal && enough - too_few > 1) {
    const size_t middle = too_few + (enough - too_few) / 2;
    const search::MetricValue there = value_after(middle);
    if (there.high <= goal) {
      enough = middle;
      value = there;
    } else {
      too_few = middle;
    }
  }
  return Cut{network::prune(model, channels_of_steps(groups, order, enough)), value, reaches_goal};
}

ExtractedModel PruneSchedule::tuned(const network::Model& model, const network::Model* teacher,
                                    int64_t round, Progress& progress) {
  const bool sparse = round == 0;
  Supernet::FineTuneOptions tuning;
  tuning.epochs = sparse ? options_.sparsity_epochs : options_.finetune_epochs;
  tuning.learning_rate = options_.learning_rate;
  tuning.gamma_sparsity = sparse ? options_.sparsity : 0.0;
  tuning.seed = Rng(seed_).derive("prune", static_cast<uint64_t>(round)).seed();
  return supernet_.fine_tune(model, teacher, tuning, progress);
}

void PruneSchedule::start(const network::Model& model, const network::Model* teacher,
                          PruneRounds& rounds, Progress& progress) {
  const ExtractedModel before = supernet_.calibrate(model);
  const ExtractedModel after =
      options_.sparsity_epochs > 0.0 ? tuned(before.model, teacher, 0, progress) : before;
  rounds.add(record(0, measure(model.network), before, after), after.model);
}

std::optional<PruneEnd> PruneSchedule::go_on(PruneRounds& rounds, const network::Model* teacher,
                                             Progress& progress) {
  const PruneEnd all_done = options_.target ? PruneEnd::Target : PruneEnd::Rounds;
  const PruneRound last = rounds.rounds().back();
  const double before = rounds.rounds().front().value.value;
  int64_t number = last.round + 1;
  while (number <= options_.rounds && last.value.high <= goal_of(number, before)) ++number;
  if (number > options_.rounds) return all_done;

  const auto chosen = cut(rounds.model(last.round), goal_of(number, before), number);
  if (!chosen) return PruneEnd::Exhausted;
  const ExtractedModel pruned = supernet_.calibrate(chosen->model);
  const ExtractedModel after =
      options_.finetune_epochs > 0.0 ? tuned(pruned.model, teacher, number, progress) : pruned;
  if (options_.accuracy_drop) {
    const double floor = rounds.rounds().front().top1_pruned - *options_.accuracy_drop;
    if (after.validation.top1 < floor) return PruneEnd::Floor;
  }
  rounds.add(record(number, chosen->value, pruned, after), after.model);
  if (!chosen->reaches_goal) return PruneEnd::Exhausted;
  if (number == options_.rounds) return all_done;
  return std::nullopt;
}

PruneOutcome PruneSchedule::run(const network::Model& model, const network::Model* teacher,
                                const std::filesystem::path& folder, Progress& progress,
                                const std::function<bool()>& stop) {
  network::Model whole = model;
  whole.network = network::drop_unused(model.network);
  PruneRounds rounds(folder, identity(whole, teacher));
  PruneOutcome outcome;
  outcome.end = PruneEnd::Stopped;
  if (rounds.rounds().empty()) start(whole, teacher, rounds, progress);
  while (rounds.ended().empty() && !stop()) {
    const std::optional<PruneEnd> end = go_on(rounds, teacher, progress);
    if (end) rounds.end(to_string(*end));
  }
  if (!rounds.ended().empty()) outcome.end = prune_end_from_string(rounds.ended());
  outcome.rounds = rounds.rounds();
  const PruneRound& last = outcome.rounds.back();
  outcome.pruned = {rounds.model(last.round), last.validation};
  return outcome;
}

}  // namespace lathe::supernet
