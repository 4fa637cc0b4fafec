#pragma once

#include <memory>
#include <vector>

#include "core/progress.h"
#include "supernet/compress/distillation.h"
#include "supernet/supernet.h"
#include "supernet/train/standalone_trainer.h"

namespace lathe::supernet {

/// Trains the students of a lesson. Not thread-safe.
class LessonTrainer {
 public:
  /// The lesson's teachers are copied; `images` must outlive the trainer. `identity`: of the data.
  /// \throws ConfigError if a network does not fit the images and `classes`, or a hint names
  /// nothing; otherwise as StandaloneTrainer.
  LessonTrainer(const Lesson& lesson, const Batches& images, int64_t classes,
                const SupernetOptions& options, Identity identity, at::Device device);

  /// See StandaloneTrainer::run.
  bool run(Progress& progress, const std::function<bool()>& stop) {
    return trainer_->run(progress, stop);
  }
  int64_t step() const { return trainer_->step(); }
  /// The weights of student `n`, which may hold more than its network names.
  SharedWeights& weights(size_t n) { return trainer_->weights(n); }

 private:
  std::unique_ptr<Distillation> objective_;
  std::unique_ptr<StandaloneTrainer> trainer_;
};

}  // namespace lathe::supernet
