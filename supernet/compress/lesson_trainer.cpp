#include "supernet/compress/lesson_trainer.h"

#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "supernet/compress/hints.h"

namespace lathe::supernet {
namespace {

void check_network(const std::string& what, const network::Network& network, const ImageSet& images,
                   int64_t classes) {
  if (network.output_shape() == network::Shape{1, classes} &&
      network.input_shape()[1] == images.shape().channels) {
    return;
  }
  throw ConfigError(what + ": input " + network::to_string(network.input_shape()) + ", output " +
                    network::to_string(network.output_shape()) + ", expected " +
                    std::to_string(images.shape().channels) + " channels and " +
                    std::to_string(classes) + " classes");
}

void check_lesson(const Lesson& lesson, const ImageSet& images, int64_t classes) {
  const DistilOptions& distil = lesson.options.distil;
  const std::string& title = lesson.options.title;
  if (lesson.students.empty()) throw InvariantError(title + ": no network, expected one to train");
  for (const network::Model& student : lesson.students) {
    check_network(title, student.network, images, classes);
    if (!student.weights.empty()) network::check_weights(student.network, student.weights);
  }
  for (const network::Model* teacher : lesson.teachers) {
    check_network(title + ": teacher", teacher->network, images, classes);
    network::check_weights(teacher->network, teacher->weights);
  }
  if (!distil.hints.empty() && lesson.teachers.empty()) {
    throw ConfigError(title + ": hints without a teacher, expected one to give them");
  }
  if (!(distil.temperature > 0.0)) {
    throw ConfigError(title + ": temperature = " + std::to_string(distil.temperature) +
                      ", expected more than 0");
  }
}

/// Everything that the trained weights depend on, besides the data.
void add_identity(const Lesson& lesson, const TrainOptions& train, Identity& identity) {
  const StandaloneOptions& options = lesson.options;
  const DistilOptions& distil = options.distil;
  for (const network::Model& student : lesson.students) {
    identity.emplace_back("student", hash_of(student));
  }
  for (const network::Model* teacher : lesson.teachers) {
    identity.emplace_back("teacher", hash_of(*teacher));
  }
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, double>>{{"epochs", options.epochs},
                                                   {"learning_rate", options.learning_rate},
                                                   {"warmup_epochs", options.warmup_epochs},
                                                   {"alpha", distil.alpha},
                                                   {"beta", distil.beta},
                                                   {"temperature", distil.temperature},
                                                   {"hint_weight", distil.hint_weight},
                                                   {"gamma_sparsity", options.gamma_sparsity}}) {
    identity.emplace_back(name, exact_text(value));
  }
  identity.emplace_back("seed", std::to_string(options.seed));
  add_optimizer(train, identity);
  for (const Hint& hint : distil.hints) {
    identity.emplace_back("hint", hint.student + " from " + hint.teacher);
  }
}

/// A student's weights to start from, with those of its regressors.
network::Weights start_of(const network::Model& student, const network::Network& hinted,
                          uint64_t seed) {
  network::Weights weights = network::random_weights(hinted, seed);
  for (const auto& [name, tensor] : student.weights) weights[name] = tensor;
  return weights;
}

}  // namespace

LessonTrainer::LessonTrainer(const Lesson& lesson, const Batches& images, int64_t classes,
                             const SupernetOptions& options, Identity identity, at::Device device) {
  check_lesson(lesson, images.images(), classes);
  add_identity(lesson, options.train, identity);
  const std::vector<Hint>& hints = lesson.options.distil.hints;
  std::vector<Teacher> teachers;
  for (const network::Model* teacher : lesson.teachers) {
    std::vector<network::NodeId> also;
    for (size_t h = 0; teachers.empty() && h < hints.size(); ++h) {
      also.push_back(hint_node(teacher->network, hints[h].teacher));
    }
    teachers.emplace_back(*teacher, device, also);
  }
  objective_ = std::make_unique<Distillation>(std::move(teachers), lesson.options.distil,
                                              options.train.label_smoothing);
  std::vector<network::Weights> starts(lesson.students.size());
  std::vector<TrainedNetwork> networks;
  for (size_t s = 0; s < lesson.students.size(); ++s) {
    const network::Model& student = lesson.students[s];
    HintedNetwork hinted{student.network, {}};
    if (!hints.empty()) {
      hinted = with_regressors(student.network, lesson.teachers.front()->network, hints);
    }
    if (!student.weights.empty()) {
      starts[s] =
          start_of(student, hinted.network, Rng(lesson.options.seed).derive("hints").seed());
    }
    networks.push_back({std::move(hinted.network), std::move(hinted.features),
                        student.weights.empty() ? nullptr : &starts[s]});
  }
  trainer_ = std::make_unique<StandaloneTrainer>(networks, *objective_, images, options,
                                                 lesson.options, std::move(identity), device);
}

}  // namespace lathe::supernet
