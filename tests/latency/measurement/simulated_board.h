#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/rng.h"
#include "core/statistics.h"
#include "latency/measurement/session.h"
#include "latency/measurement/warm_up.h"

namespace lathe::latency::test {

/// How a simulated board misbehaves. Published for a clean Raspberry Pi 5: over networks, the
/// coefficient of variation of single inferences has a median of 0.24 % and a 99th percentile of 14
/// %.
struct BoardModel {
  double candidate_s = 0.012;
  double reference_s = 0.002;
  double cv = 0.0024;         ///< of single inferences: small jitter and rare long spikes
  double process_sd = 0.003;  ///< of the candidate's speed between processes, relative
  double drift_per_s = 0.0;   ///< of the whole board's speed, relative
  double start_s = 0.060;     ///< spawn and load
  double spike_probability = 0.05;
  // Spells in which somebody computes on the core's other hardware thread.
  double spells_per_s = 0.0;
  double spell_s = 0.3;
  double spell_candidate = 1.17;  ///< how many times as long an inference takes meanwhile
  double spell_reference = 1.30;
};

/// A board, its clock and its worker processes, all simulated.
class SimulatedBoard {
 public:
  SimulatedBoard(const BoardModel& model, const Rng& rng) : model_(model), rng_(rng) {}

  double now_s() const { return now_s_; }

  void start_process() {
    now_s_ += model_.start_s;
    candidate_offset_ = model_.process_sd * rng_.normal();
    inferences_ = {0, 0};
  }

  double infer(bool candidate) {
    const double base_s =
        candidate ? model_.candidate_s * std::exp(candidate_offset_) : model_.reference_s;
    // Of networks of 0.2 ms the first inferences of a process take 2.0, 1.27, 1.06 times as long,
    // of slower ones less (experiments/measurement, cold_start).
    int& inferences = inferences_[candidate ? 0 : 1];
    const double cold = 1.0 + std::exp(-1.35 * static_cast<double>(inferences++));
    const double speed = 1.0 + model_.drift_per_s * now_s_;
    const double spell = !in_spell() ? 1.0
                         : candidate ? model_.spell_candidate
                                     : model_.spell_reference;
    const double time_s = base_s * cold * speed * spell * noise();
    now_s_ += time_s;
    return time_s;
  }

  Block run(const BlockPlan& plan) {
    Block block;
    const double start_s = now_s_;
    if (plan.candidate_first)
      block.candidate_s = segment(true, plan.candidate_inferences, plan.candidate_primers);
    block.reference_s = segment(false, plan.reference_inferences, plan.reference_primers);
    if (!plan.candidate_first)
      block.candidate_s = segment(true, plan.candidate_inferences, plan.candidate_primers);
    block.conditions.duration_s = now_s_ - start_s;
    return block;
  }

 private:
  /// Spells of a fixed length, after pauses of exponentially distributed length.
  bool in_spell() {
    if (model_.spells_per_s == 0.0) return false;
    while (now_s_ >= spell_end_s_) {
      spell_start_s_ = spell_end_s_ - std::log(1.0 - rng_.uniform()) / model_.spells_per_s;
      spell_end_s_ = spell_start_s_ + model_.spell_s;
    }
    return now_s_ >= spell_start_s_;
  }

  double segment(bool candidate, int inferences, int primers) {
    for (int i = 0; i < primers; ++i) infer(candidate);
    std::vector<double> times_s;
    for (int i = 0; i < inferences; ++i) times_s.push_back(infer(candidate));
    return median(times_s);
  }

  /// Median about 1, coefficient of variation about model.cv, all of the tail upwards.
  double noise() {
    const double jitter = 0.2 * model_.cv * rng_.normal();
    const bool spike = rng_.bernoulli(model_.spike_probability);
    const double mean_spike = model_.cv / std::sqrt(2.0 * model_.spike_probability);
    return std::max(0.2,
                    1.0 + jitter + (spike ? -mean_spike * std::log(1.0 - rng_.uniform()) : 0.0));
  }

  BoardModel model_;
  Rng rng_;
  double now_s_ = 0.0;
  double candidate_offset_ = 0.0;
  std::array<int, 2> inferences_ = {0, 0};  ///< of this process: candidate, reference
  double spell_start_s_ = 0.0;
  double spell_end_s_ = 0.0;
};

/// Drives a session on the board as the agent does.
inline void drive(MeasurementSession& session, SimulatedBoard& board) {
  for (Step step = session.next(); step.kind != Step::Kind::Finish; step = session.next()) {
    if (step.kind == Step::Kind::StartProcess) {
      board.start_process();
      WarmUp candidate;
      while (!candidate.feed(board.infer(true))) {
      }
      WarmUp reference;
      while (!reference.feed(board.infer(false))) {
      }
      session.begin_process(candidate.inference_s(), reference.inference_s(), board.now_s());
    } else {
      for (const BlockPlan& block : step.blocks) session.feed(board.run(block), board.now_s());
    }
  }
}

/// A coefficient of variation drawn as over the networks of the published table: log-normal.
inline double draw_cv(Rng& rng) {
  const double sigma = std::log(14.0 / 0.24) / 2.3263;
  return std::min(0.5, 0.0024 * std::exp(sigma * rng.normal()));
}

}  // namespace lathe::latency::test
