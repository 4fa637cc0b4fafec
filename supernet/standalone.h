#pragma once

// Training of networks by themselves, apart from the supernet: what is learned, from whom, and how
// long. Without LibTorch.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::supernet {

/// A place where a student is to have the features of its teacher (Romero et al., FitNets, 2015):
/// in each network the node of that name, or the last one whose name begins with it and a dot
/// ("stage2"), with the activation that alone follows it.
struct Hint {
  std::string student;
  std::string teacher;
};

/// What a student learns from its teachers besides the labels y. With
/// p(T) = softmax(logits / T) and t(T) the mean of the teachers' p(T) it minimises
///   alpha * H(y, p(1)) + beta * T^2 * H(t(T), p(T)) + hint_weight * hints
/// (Hinton et al., 2015; T^2 keeps the gradients' size). Where several students learn at once, each
/// is a teacher of the others too; alpha = beta = 1 is deep mutual learning (Zhang et al., 2018),
/// with all students taking their step on the same forward pass. Without any teacher: H(y, p).
struct DistilOptions {
  double alpha = 0.5;
  double beta = 0.5;
  double temperature = 1.0;
  std::vector<Hint> hints;   ///< from the first teacher
  double hint_weight = 1.0;  ///< of their mean: half the mean squared difference of features
};

/// How networks are trained. The rest (batch, momentum, weight decay, label smoothing, clipping,
/// augmentation) is as the supernet's options say.
struct StandaloneOptions {
  double epochs = 1;
  double learning_rate = 0.02;  ///< at the supernet's batch; cosine to zero after the warm-up
  double warmup_epochs = 0;     ///< linear
  uint64_t seed = 1;            ///< of order and augmentation, and of weights that are drawn
  /// Weight of the L1 norm of all batch norm scales in the loss, which drives those of unimportant
  /// channels to zero (network slimming, Liu et al., 2017). 0: none.
  double gamma_sparsity = 0;
  DistilOptions distil;
  /// Where the state is kept, to go on after an interruption; the caller removes it. Empty:
  /// nowhere.
  std::filesystem::path checkpoint;
  std::string title = "fine-tune";  ///< of the progress
};

/// Networks that learn at the same time, and those that they learn from.
struct Lesson {
  std::vector<network::Model> students;  ///< without weights: from random ones
  std::vector<const network::Model*> teachers;
  StandaloneOptions options;
};

}  // namespace lathe::supernet
