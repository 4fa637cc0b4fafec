// Sustained measurements, on a simulated board that heats and slows itself down.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "latency/measurement/session.h"
#include "tests/support/message_of.h"

namespace lathe::latency {
namespace {

using lathe::test::message_of;

constexpr double kAmbient_c = 35.0;
constexpr double kCandidate_s = 0.050;
constexpr double kReference_s = 0.002;

/// A passively cooled board: runs towards `full_load_c` with a time constant; above 80 C its clock
/// falls by 5 % a degree, and with it the heat.
class HotBoard {
 public:
  HotBoard(double full_load_c, double constant_s)
      : full_load_c_(full_load_c), constant_s_(constant_s) {}

  double now_s() const { return now_s_; }
  double speed() const { return std::clamp(1.0 - 0.05 * (temperature_c_ - 80.0), 0.3, 1.0); }

  void idle(double seconds) { pass(seconds, 0.0); }

  Block run(const BlockPlan& plan) {
    Block block;
    const double start_s = now_s_;
    block.candidate_s = segment(kCandidate_s, plan.candidate_inferences + plan.candidate_primers);
    block.reference_s = segment(kReference_s, plan.reference_inferences + plan.reference_primers);
    block.conditions.duration_s = now_s_ - start_s;
    block.conditions.temperature_c = temperature_c_;
    block.conditions.throttle_bits = speed() < 1.0 ? 4 : 0;
    block.conditions.planned_frequency_hz = 1.8e9;
    block.conditions.frequency_hz = 1.8e9 * speed();
    return block;
  }

  /// Milliseconds of an inference after an hour without pause.
  double truth_ms() {
    HotBoard hot = *this;
    for (int second = 0; second < 3600; ++second) hot.pass(1.0, 1.0);
    return 1e3 * kCandidate_s / hot.speed();
  }

 private:
  double segment(double cold_s, int inferences) {
    double total_s = 0.0;
    for (int i = 0; i < inferences; ++i) {
      const double time_s = cold_s / speed();
      total_s += time_s;
      pass(time_s, 1.0);
    }
    return total_s / inferences;
  }

  void pass(double seconds, double load) {
    now_s_ += seconds;
    const double aim_c = kAmbient_c + load * speed() * (full_load_c_ - kAmbient_c);
    temperature_c_ += (aim_c - temperature_c_) * (1.0 - std::exp(-seconds / constant_s_));
  }

  double full_load_c_;
  double constant_s_;
  double temperature_c_ = kAmbient_c;
  double now_s_ = 0.0;
};

LatencyEstimate measure(HotBoard& board, double sustain_s) {
  SessionOptions options;
  options.reference_s = kReference_s;
  options.plan.sustain_s = sustain_s;
  MeasurementSession session(options);
  for (Step step = session.next(); step.kind != Step::Kind::Finish; step = session.next()) {
    if (step.kind == Step::Kind::StartProcess) {
      board.idle(0.1);
      session.begin_process(kCandidate_s / board.speed(), kReference_s / board.speed(),
                            board.now_s());
      continue;
    }
    for (const BlockPlan& plan : step.blocks) session.feed(board.run(plan), board.now_s());
  }
  return session.result();
}

TEST_CASE("A sustained measurement gives what a hot board takes, a burst what a cool one does") {
  HotBoard board(110.0, 60.0);
  const double truth_ms = board.truth_ms();
  REQUIRE(truth_ms > 1.2 * 1e3 * kCandidate_s);
  HotBoard cool = board;
  const LatencyEstimate burst = measure(cool, 0.0);
  CHECK(burst.verdict == Verdict::Clean);
  CHECK(burst.median_ms == doctest::Approx(1e3 * kCandidate_s).epsilon(0.01));
  CHECK(burst.conditions.extra.count("mode") == 0);

  const LatencyEstimate sustained = measure(board, 600.0);
  CHECK(sustained.verdict == Verdict::Clean);
  CHECK(sustained.median_ms == doctest::Approx(truth_ms).epsilon(0.02));
  CHECK(sustained.rejected == 0);
  CHECK(sustained.processes == 2);
  CHECK(sustained.conditions.extra.at("mode") == "sustained");
  CHECK(sustained.conditions.extra.at("thermally_steady") == "yes");
  const double heated_s = std::stod(sustained.conditions.extra.at("heated_s"));
  CHECK(heated_s >= 30.0);
  CHECK(heated_s < 600.0);
  CHECK(sustained.wall_s == doctest::Approx(board.now_s()).epsilon(0.01));
  CHECK(sustained.wall_s > heated_s);
}

TEST_CASE("A sustained measurement of a board that stays cool is that of a burst") {
  HotBoard board(60.0, 60.0);
  HotBoard other = board;
  const LatencyEstimate sustained = measure(board, 600.0);
  CHECK(sustained.verdict == Verdict::Clean);
  CHECK(sustained.median_ms == doctest::Approx(measure(other, 0.0).median_ms).epsilon(0.01));
}

TEST_CASE("Heating ends at its limit, and the verdict says that the board was not steady") {
  HotBoard board(110.0, 2000.0);
  const LatencyEstimate sustained = measure(board, 60.0);
  CHECK(sustained.verdict == Verdict::Unsteady);
  CHECK(sustained.conditions.extra.at("thermally_steady") == "no");
  CHECK(std::stod(sustained.conditions.extra.at("heated_s")) ==
        doctest::Approx(60.0).epsilon(0.05));
  CHECK(sustained.kept >= 10);
}

TEST_CASE("Preempted blocks are thrown away in a sustained measurement, too") {
  SessionOptions options;
  options.reference_s = kReference_s;
  options.plan.sustain_s = 40.0;
  MeasurementSession session(options);
  HotBoard board(60.0, 1.0);
  int64_t fed = 0;
  for (Step step = session.next(); step.kind != Step::Kind::Finish; step = session.next()) {
    if (step.kind == Step::Kind::StartProcess) {
      session.begin_process(kCandidate_s, kReference_s, board.now_s());
      continue;
    }
    for (const BlockPlan& plan : step.blocks) {
      Block block = board.run(plan);
      if (++fed % 4 == 0) {
        block.conditions.involuntary_switches = 3;
        block.conditions.off_cpu_s = 0.5 * block.conditions.duration_s;
        block.candidate_s *= 2.0;
      } else {
        block.conditions.off_cpu_s = 0.0;
      }
      session.feed(block, board.now_s());
    }
  }
  CHECK(session.result().rejected > 0);
  CHECK(session.result().median_ms == doctest::Approx(1e3 * kCandidate_s).epsilon(0.01));
}

TEST_CASE("MeasurementSession refuses a negative time of sustaining") {
  SessionOptions options;
  options.reference_s = 1.0;
  options.plan.sustain_s = -1.0;
  CHECK(message_of<InvariantError>([&] { MeasurementSession refused(options); }) ==
        "MeasurementSession: sustain_s = -1.000000, expected at least 0");
}

}  // namespace
}  // namespace lathe::latency
