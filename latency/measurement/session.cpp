#include "latency/measurement/session.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <cstdio>
#include <string>

#include "core/error.h"
#include "core/statistics.h"

namespace lathe::latency {
namespace {

constexpr double kNormal95 = 1.96;
constexpr double kBatchSeconds = 0.05;  // the driver reports at least this often
constexpr double kHeatBlock_s = 1.0;    // of the candidate, while the board is heated
constexpr double kReheat_s = 3.0;       // in each process after the first
// A hot board must not cool while the reference runs: the candidate has this share of every block.
constexpr double kHotShare = 10.0;
constexpr double kLeastShare = 0.8;

void require(bool condition, const char* what, double value, const char* expected) {
  if (condition) return;
  throw InvariantError(std::string("MeasurementSession: ") + what + " = " + std::to_string(value) +
                       ", expected " + expected);
}

}  // namespace

MeasurementSession::MeasurementSession(const SessionOptions& options)
    : options_(options), interleaving_(options.plan.seed) {
  const MeasurementPlan& plan = options.plan;
  require(options.reference_s > 0.0, "reference_s", options.reference_s, "a positive time");
  require(plan.target_half_width > 0.0, "target_half_width", plan.target_half_width, "more than 0");
  require(plan.level > 0.0 && plan.level < 1.0, "level", plan.level, "between 0 and 1");
  require(plan.budget_s > 0.0, "budget_s", plan.budget_s, "more than 0");
  require(plan.min_blocks >= 1, "min_blocks", plan.min_blocks, "at least 1");
  require(plan.max_blocks >= plan.min_blocks, "max_blocks", plan.max_blocks, "at least min_blocks");
  require(plan.processes >= 1, "processes", plan.processes, "at least 1");
  require(plan.min_block_s >= 0.0, "min_block_s", plan.min_block_s, "at least 0");
  require(plan.sustain_s >= 0.0, "sustain_s", plan.sustain_s, "at least 0");
}

void MeasurementSession::begin_process(double candidate_s, double reference_s, double elapsed_s) {
  require(candidate_s > 0.0, "candidate_s", candidate_s, "a positive time");
  require(reference_s > 0.0, "reference_s", reference_s, "a positive time");
  candidate_s_ = candidate_s;
  reference_s_ = reference_s;
  start_cost_s_ = elapsed_s - heated_s_ - elapsed_s_;
  elapsed_s_ = elapsed_s - heated_s_;
  process_start_s_ = elapsed_s_;
  process_blocks_ = 0;
  kept_ratios_.emplace_back();
  all_ratios_.emplace_back();
}

void MeasurementSession::feed(const Block& block, double elapsed_s) {
  if (kept_ratios_.empty()) throw InvariantError("MeasurementSession::feed: no process was begun");
  require(block.candidate_s > 0.0, "candidate_s", block.candidate_s, "a positive time");
  require(block.reference_s > 0.0, "reference_s", block.reference_s, "a positive time");
  if (heating()) return feed_heat(block, elapsed_s);
  elapsed_s_ = elapsed_s - heated_s_;
  const double ratio =
      std::log(block.candidate_s / (sustained() ? options_.reference_s : block.reference_s));
  all_ratios_.back().push_back(ratio);
  reference_times_s_.push_back(block.reference_s);
  const BlockFault fault = fault_of(block);
  if (fault != BlockFault::None) {
    ++rejected_;
    ++faults_[fault];
    return;
  }
  ++kept_;
  ++process_blocks_;
  kept_ratios_.back().push_back(ratio);
}

/// The first process heats until the board is steady or the limit is reached. Later ones make good
/// for the moment in which the board idled between two processes.
bool MeasurementSession::heating() const {
  if (!sustained()) return false;
  if (processes() > 1) return elapsed_s_ - process_start_s_ < kReheat_s;
  return !steady_.reached() && heated_s_ < options_.plan.sustain_s;
}

void MeasurementSession::feed_heat(const Block& block, double elapsed_s) {
  if (processes() > 1) {
    elapsed_s_ = elapsed_s - heated_s_;
    return;
  }
  const double before_s = heated_s_;
  heated_s_ = elapsed_s - elapsed_s_;
  steady_.feed(block.candidate_s, block.conditions.temperature_c,
               std::max(heated_s_ - before_s, 1e-6));
}

/// What slows a hot board down is what a sustained measurement is to see.
BlockFault MeasurementSession::fault_of(const Block& block) const {
  BlockConditions conditions = block.conditions;
  if (!sustained() && !options_.invalid_timing) {
    conditions.reference_slowdown = block.reference_s / options_.reference_s - 1.0;
  }
  if (sustained()) {
    conditions.throttle_bits = 0;
    conditions.frequency_hz = 0.0;
    conditions.temperature_c = -1.0;
  }
  return block_fault(conditions, options_.limits);
}

/// A process has given its share when its blocks alone would reach the target together with equal
/// ones of the other processes, or its share of budget and blocks is used up.
bool MeasurementSession::process_is_done() const {
  const MeasurementPlan& plan = options_.plan;
  const double planned = std::max(plan.processes, processes());
  const double blocks = static_cast<double>(all_ratios_.back().size());
  if (blocks >= std::ceil(plan.max_blocks / static_cast<double>(plan.processes))) return true;
  const double share_end_s = plan.budget_s * processes() / planned;
  if (elapsed_s_ >= share_end_s) return true;
  if (static_cast<double>(process_blocks_) <
      std::ceil(plan.min_blocks / static_cast<double>(plan.processes))) {
    return false;
  }
  const double within = median_standard_error(kept_ratios_.back());
  const double between = options_.process_variance.variance();
  const double variance = (within * within + between) / planned;
  const double target = reachable_half_width();
  // Half of what the target leaves for the blocks when the processes' differences alone are beyond
  // it.
  const double allowed =
      std::max(target * target / (kNormal95 * kNormal95), 2.0 * between / planned);
  return variance <= allowed;
}

std::vector<BlockPlan> MeasurementSession::plan_blocks() {
  const MeasurementPlan& plan = options_.plan;
  BlockPlan block;
  block.candidate_inferences = inferences_per_block(candidate_s_, plan.min_block_s);
  block.reference_inferences = inferences_per_block(reference_s_, plan.min_block_s);
  block.candidate_primers = primer_inferences(candidate_s_);
  block.reference_primers = primer_inferences(reference_s_);
  if (sustained()) {
    const double reference_s =
        reference_s_ * (block.reference_inferences + block.reference_primers);
    block.candidate_inferences = inferences_per_block(
        candidate_s_,
        heating() ? kHeatBlock_s : std::max(plan.min_block_s, kHotShare * reference_s));
    if (heating()) return {block};
  }
  const double block_s = candidate_s_ * (block.candidate_inferences + block.candidate_primers) +
                         reference_s_ * (block.reference_inferences + block.reference_primers);
  const double missing = std::ceil(plan.min_blocks / static_cast<double>(plan.processes)) -
                         static_cast<double>(process_blocks_);
  double count = std::max(2.0, std::min(kBatchSeconds / block_s, std::max(missing, 2.0)));
  count = std::min(count, std::max(1.0, (plan.budget_s - elapsed_s_) / block_s));
  std::vector<BlockPlan> blocks(static_cast<size_t>(count), block);
  for (BlockPlan& planned : blocks) planned.candidate_first = interleaving_.next();
  return blocks;
}

Step MeasurementSession::next() {
  const MeasurementPlan& plan = options_.plan;
  if (kept_ratios_.empty()) return {Step::Kind::StartProcess, {}};
  // A process that was begun always runs at least one batch, else it would contribute nothing.
  if (heating() || all_ratios_.back().empty() || !process_is_done())
    return {Step::Kind::Blocks, plan_blocks()};
  if (processes() < plan.processes) return {Step::Kind::StartProcess, {}};
  if (enough_kept() && half_width() <= reachable_half_width() && kept_ >= plan.min_blocks &&
      !mostly_rejected()) {
    return {Step::Kind::Finish, {}};
  }
  const int64_t run = kept_ + rejected_;
  const double process_s = start_cost_s_ + (elapsed_s_ - process_start_s_);
  if (run >= plan.max_blocks || elapsed_s_ + process_s > plan.budget_s)
    return {Step::Kind::Finish, {}};
  return {Step::Kind::StartProcess, {}};
}

bool MeasurementSession::mostly_rejected() const {
  return static_cast<double>(rejected_) >
         options_.max_rejected_fraction * static_cast<double>(kept_ + rejected_);
}

bool MeasurementSession::enough_kept() const { return 2 * kept_ >= options_.plan.min_blocks; }

const std::vector<std::vector<double>>& MeasurementSession::counted_ratios() const {
  return enough_kept() ? kept_ratios_ : all_ratios_;
}

RatioEstimate MeasurementSession::estimate() const {
  return estimate_ratio(counted_ratios(), options_.plan.level, options_.process_variance);
}

double MeasurementSession::median_ms() const {
  if (kept_ + rejected_ == 0) return 0.0;
  return 1e3 * options_.reference_s * std::exp(estimate().log_ratio);
}

double MeasurementSession::half_width() const {
  if (kept_ + rejected_ == 0) return 1.0;
  return std::expm1(estimate().half_width);
}

/// A sustained measurement takes the candidate's own times, whose drift the control does not tell.
double MeasurementSession::drift_half_width() const {
  if (sustained()) return 0.0;
  const boost::math::normal normal;
  return boost::math::quantile(normal, 0.5 + options_.plan.level / 2.0) *
         std::sqrt(options_.drift.of(weight_bytes_));
}

double MeasurementSession::half_width_with_drift(const RatioEstimate& estimate) const {
  return std::hypot(estimate.half_width, drift_half_width());
}

/// What blocks and processes have to reach so that the drift's part fits in as well, but no less
/// than kLeastShare of the target: that would take long. Where the drift is more than fits, further
/// precision would not be seen beside it.
double MeasurementSession::reachable_half_width() const {
  const double target = options_.plan.target_half_width;
  const double drift = drift_half_width();
  const double left = drift < target ? std::sqrt(target * target - drift * drift) : 0.0;
  return left >= kLeastShare * target ? left : std::max(kLeastShare * target, drift);
}

double MeasurementSession::reference_drift() const {
  return median(reference_times_s_) / options_.reference_s - 1.0;
}

bool MeasurementSession::reference_has_moved() const {
  return !sustained() && !reference_times_s_.empty() &&
         std::abs(reference_drift()) > options_.max_reference_drift;
}

Verdict MeasurementSession::verdict(const RatioEstimate& estimate) const {
  if (options_.invalid_timing) return Verdict::InvalidTiming;
  int64_t throttled = 0;
  for (const BlockFault fault :
       {BlockFault::Throttled, BlockFault::SlowClock, BlockFault::TooHot}) {
    const auto found = faults_.find(fault);
    if (found != faults_.end()) throttled += found->second;
  }
  if (mostly_rejected() || !enough_kept()) {
    return 2 * throttled >= rejected_ ? Verdict::Throttled : Verdict::Disturbed;
  }
  if (reference_has_moved()) return Verdict::Disturbed;
  if (sustained() && !steady_.reached()) return Verdict::Unsteady;
  if (std::expm1(half_width_with_drift(estimate)) > options_.plan.target_half_width) {
    return Verdict::Unsteady;
  }
  return Verdict::Clean;
}

LatencyEstimate MeasurementSession::result() const {
  if (kept_ + rejected_ == 0) throw InvariantError("MeasurementSession::result: no block was fed");
  const RatioEstimate ratio = estimate();
  const double scale_ms = 1e3 * options_.reference_s;
  LatencyEstimate estimate;
  estimate.median_ms = scale_ms * std::exp(ratio.log_ratio);
  const double half_width = half_width_with_drift(ratio);
  estimate.interval_ms = {scale_ms * std::exp(ratio.log_ratio - half_width),
                          scale_ms * std::exp(ratio.log_ratio + half_width), options_.plan.level};
  std::vector<double> pooled;
  for (const std::vector<double>& process : counted_ratios()) {
    for (double value : process) pooled.push_back(scale_ms * std::exp(value));
  }
  estimate.p90_ms = quantile(pooled, 0.90);
  estimate.p99_ms = quantile(pooled, 0.99);
  estimate.kept = kept_;
  estimate.rejected = rejected_;
  estimate.processes = processes();
  estimate.wall_s = elapsed_s_ + heated_s_;
  const double drift = reference_drift();
  estimate.verdict = verdict(ratio);
  char text[32];
  std::snprintf(text, sizeof text, "%+.4f", drift);
  estimate.conditions.extra["reference_drift"] = text;
  if (drift_half_width() > 0.0) {
    std::snprintf(text, sizeof text, "%.4f", drift_half_width());
    estimate.conditions.extra["drift_half_width"] = text;
  }
  if (sustained()) {
    estimate.conditions.extra["mode"] = "sustained";
    std::snprintf(text, sizeof text, "%.0f", heated_s_);
    estimate.conditions.extra["heated_s"] = text;
    estimate.conditions.extra["thermally_steady"] = steady_.reached() ? "yes" : "no";
  }
  for (const auto& [fault, count] : faults_) {
    estimate.conditions.extra[std::string("rejected.") + to_string(fault)] = std::to_string(count);
  }
  return estimate;
}

std::vector<double> MeasurementSession::block_ms() const {
  std::vector<double> times;
  for (const std::vector<double>& process : kept_ratios_) {
    for (double value : process) times.push_back(1e3 * options_.reference_s * std::exp(value));
  }
  return times;
}

ProcessVariance MeasurementSession::learned_variance() const {
  ProcessVariance variance = options_.process_variance;
  if (kept_ == 0 || sustained()) return variance;  // absolute times differ in other ways
  variance.learn(estimate_ratio(kept_ratios_, options_.plan.level, variance));
  return variance;
}

}  // namespace lathe::latency
