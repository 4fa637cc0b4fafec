#include "supernet/train/subnet_sampler.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "supernet/train/samplers.h"

namespace lathe::supernet {

const char* to_string(SubnetRole role) {
  switch (role) {
    case SubnetRole::Largest:
      return "largest";
    case SubnetRole::Random:
      return "random";
    case SubnetRole::Smallest:
      break;
  }
  return "smallest";
}

const TrainingPhase& phase_at(const std::vector<TrainingPhase>& phases, int64_t step) {
  for (const TrainingPhase& phase : phases) {
    if (step >= phase.first_step && step < phase.first_step + phase.steps) return phase;
  }
  throw InvariantError("phase_at: step = " + std::to_string(step) + ", expected one of the " +
                       std::to_string(phases.back().first_step + phases.back().steps) + " steps");
}

double learning_rate_at(const std::vector<TrainingPhase>& phases, int64_t step) {
  const TrainingPhase& phase = phase_at(phases, step);
  const LearningRateSchedule schedule{phase.learning_rate, phase.warmup_steps, phase.steps};
  return schedule.at(step - phase.first_step);
}

std::vector<TrainingPhase> one_phase(const TrainOptions& options, int64_t steps_per_epoch) {
  const auto steps = [steps_per_epoch](double epochs) {
    return static_cast<int64_t>(std::llround(epochs * static_cast<double>(steps_per_epoch)));
  };
  TrainingPhase phase;
  phase.name = "all";
  phase.steps = std::max<int64_t>(1, steps(options.epochs));
  phase.warmup_steps = steps(options.warmup_epochs);
  phase.learning_rate = options.learning_rate;
  return {phase};
}

std::unique_ptr<SubnetSampler> make_sampler(const search::SearchSpace& space,
                                            const TrainOptions& options, int64_t steps_per_epoch,
                                            uint64_t seed) {
  const std::string& name = options.sampler.name;
  if (name == "sandwich") return std::make_unique<SandwichSampler>(space, options, steps_per_epoch);
  if (name == "attentive") {
    return std::make_unique<AttentiveSampler>(space, options, steps_per_epoch, seed);
  }
  if (name == "uniform") return std::make_unique<UniformSampler>(space, options, steps_per_epoch);
  if (name == "fair") return std::make_unique<FairSampler>(space, options, steps_per_epoch, seed);
  if (name == "progressive") {
    return std::make_unique<ProgressiveSampler>(space, options, steps_per_epoch);
  }
  throw ConfigError("/supernet/sampler = " + name +
                    ", expected sandwich, attentive, uniform, fair or progressive");
}

}  // namespace lathe::supernet
