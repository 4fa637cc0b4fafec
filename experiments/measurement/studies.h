#pragma once

#include <nlohmann/json.hpp>

#include "experiments/measurement/bench.h"

// Each study runs on the bench, prints what it finds, and returns it for results.json.

namespace lathe::study {

/// The same network twice, many times over, in random order and each time under a fresh lease.
nlohmann::json study_same(Bench& bench, bool quick);
/// Do 95 % intervals cover the value of a run ten times as long, and how long do they take?
nlohmann::json study_coverage(Bench& bench, bool quick);
/// How far the latencies of networks of different sizes wander over minutes, and whether together.
nlohmann::json study_drift(Bench& bench, bool quick);
/// Bias and flags under a CPU hog on the measuring core, on the other core, and in bursts.
nlohmann::json study_disturbance(Bench& bench, bool quick);
/// Two independent rankings of 60 networks that lie within 30 %.
nlohmann::json study_ranking(Bench& bench, bool quick);
/// Round trip of an empty job, in plain text and with TLS both ways.
nlohmann::json study_overhead(Bench& bench, bool quick);
/// Wall time of a measurement to 1 % of models under 20 ms, against TFLite's defaults.
nlohmann::json study_cheap(Bench& bench, bool quick);
/// Coverage and errors on simulated boards with a Raspberry Pi's heavy tails, beside the mean of 50
/// runs.
nlohmann::json study_simulated(Bench& bench, bool quick);
/// The controller's CPU time with 50 agents that each end a job every 1.3 s.
nlohmann::json study_controller(Bench& bench, bool quick);
/// Memory of the agent without work, the memory limits that MobileNetV2-224 runs under, and sizes
/// of the bundles.
nlohmann::json study_small(Bench& bench, bool quick);
/// MobileNetV2-224 on XNNPACK against ONNX Runtime, fresh processes taking turns.
nlohmann::json study_speed(Bench& bench, bool quick);
/// Measuring beside training: a reserved core, alternating phases, or neither.
nlohmann::json study_sharing(Bench& bench, bool quick);

/// Serves the agents of study_controller until its input ends; prints their addresses on one line.
int serve_agents();

}  // namespace lathe::study
