#pragma once

#include <string>

#include "supernet/data/batches.h"
#include "supernet/distributed/communicator.h"
#include "supernet/train/checkpoint.h"

namespace lathe::supernet {

/// What a training that several processes do together adds to that of one: each has a part of every
/// batch, trains the same subnets on it, and takes the same optimizer step on the summed gradients,
/// so that all have the same weights. With one process everything is what it is without. Not
/// thread-safe.
class DataParallel {
 public:
  /// `group`: null for a process alone; it must outlive this.
  explicit DataParallel(Communicator* group) : group_(group) {}

  /// Null where there is nobody else.
  Communicator* group() const { return together() ? group_ : nullptr; }
  /// Whether this process writes files and shows progress.
  bool writes() const { return group_ == nullptr || group_->is_first(); }
  bool together() const { return group_ != nullptr && !group_->alone(); }

  /// \throws ConfigError naming the first thing in which the processes' identities differ, or if a
  /// batch has not at least two images for each.
  void check_same(const Identity& identity, int64_t batch) const;
  /// \throws InvariantError unless the weights are the same bits everywhere.
  void check_same(const at::Tensor& values, int64_t step) const;

  /// The step that messages name.
  void begin_step(int64_t step);
  /// Returns this process's images of a batch that all have made.
  Batch part_of(const Batch& batch);
  /// Where they begin in it, and how many images it has; 0 and 0 for all of it.
  int64_t first() const { return first_; }
  int64_t batch() const { return batch_; }

  /// Scales the mean loss of the part so that those of all processes add up to the batch's.
  at::Tensor share_of(const at::Tensor& loss) const { return together() ? loss * share_ : loss; }
  /// Returns the sum over all processes, of what share_of() returned.
  double sum(double share, const char* what) const;
  /// Sums gradients in place.
  void sum_gradients(at::Tensor& gradients) const;

  /// Returns whether any process says so.
  bool any(bool own) const;

 private:
  Communicator* group_;
  int64_t first_ = 0;
  int64_t batch_ = 0;
  double share_ = 1.0;
};

}  // namespace lathe::supernet
