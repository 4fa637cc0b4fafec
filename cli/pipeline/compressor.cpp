#include "cli/pipeline/compressor.h"

#include <cstdio>
#include <utility>

#include "cli/pipeline/model_file.h"
#include "cli/pipeline/run_identity.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "network/onnx.h"
#include "supernet/compress/prune_schedule.h"

namespace lathe::cli {
namespace {

std::string significant(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

/// "largest", or a file with a digest of what it holds: another file under its name is another
/// teacher.
std::string teacher_text(const std::string& teacher) {
  return teacher == "largest" ? teacher : teacher + " (" + content_digest(teacher) + ")";
}

std::string distil_recipe(const DistilOptions& distil) {
  if (distil.epochs == 0.0) return "inherited weights";
  char text[192];
  std::snprintf(text, sizeof(text), "distilled for %g epochs at learning rate %g", distil.epochs,
                distil.learning_rate);
  std::string all = text;
  // What the first version of lathe knew goes unsaid, so that its results stay valid.
  if (distil.warmup_epochs > 0.0) all += ", warm-up " + significant(distil.warmup_epochs);
  const supernet::DistilOptions usual;
  const supernet::DistilOptions& loss = distil.loss;
  if (loss.alpha != usual.alpha || loss.beta != usual.beta ||
      loss.temperature != usual.temperature) {
    all += ", alpha " + significant(loss.alpha) + ", beta " + significant(loss.beta) +
           ", temperature " + significant(loss.temperature);
  }
  if (distil.teachers != DistilOptions().teachers) {
    all += ", teachers:";
    for (const std::string& teacher : distil.teachers) all += " " + teacher_text(teacher);
  }
  if (distil.mutual) all += ", mutual";
  for (const supernet::Hint& hint : loss.hints) {
    all += ", hint " + hint.student + "=" + hint.teacher + " " + significant(loss.hint_weight);
  }
  return all;
}

std::string prune_recipe(const supernet::PruneOptions& prune, const DistilOptions& distil) {
  std::string all = "; pruned to " + (prune.target ? to_string(*prune.target) : "the floor");
  if (prune.accuracy_drop) all += ", drop at most " + significant(*prune.accuracy_drop);
  all += std::string(", ") + network::to_string(prune.criterion) + " " +
         network::to_string(prune.ranking) + ", multiples of " +
         std::to_string(prune.channel_multiple) + ", " + std::to_string(prune.images) +
         " images, " + std::to_string(prune.rounds) + " rounds of " +
         significant(prune.finetune_epochs) + " epochs at " + significant(prune.learning_rate);
  // Of distillation it stands there already.
  if (distil.epochs == 0.0 && distil.teachers != DistilOptions().teachers) {
    all +=
        ", teacher " + (distil.teachers.empty() ? "none" : teacher_text(distil.teachers.front()));
  }
  if (prune.sparsity > 0.0) {
    all += ", sparsity " + significant(prune.sparsity) + " for " +
           significant(prune.sparsity_epochs) + " epochs";
  }
  return all;
}

std::string quantize_recipe(const supernet::QuantizeOptions& options) {
  std::string all = std::string("; int8, observer ") + network::to_string(options.range.method) +
                    " of " + std::to_string(options.calibration_images) + " images";
  const supernet::QuantizeOptions usual;
  if (options.range.percentile != usual.range.percentile) {
    all += ", percentile " + significant(options.range.percentile);
  }
  if (options.range.moving_share != usual.range.moving_share) {
    all += ", moving share " + significant(options.range.moving_share);
  }
  if (options.clip_weights) all += ", weights clipped";
  if (options.equalize) all += ", equalised";
  if (!options.correct_bias) all += ", biases as they are";
  if (options.float_layers > 0) {
    all += ", at most " + std::to_string(options.float_layers) +
           " layers in fp32 until the loss is " + significant(options.max_loss) + ", by " +
           std::to_string(options.sensitivity_images) + " images";
  }
  if (options.training.epochs > 0.0) {
    all += ", trained for " + significant(options.training.epochs) + " epochs at " +
           significant(options.training.learning_rate);
    if (options.training.binary_weights) all += ", binary weights";
  }
  return all;
}

CompressionStep step_of(std::string name, std::string note, const network::Model& model,
                        const search::AccuracyEstimate& validation) {
  return {std::move(name), std::move(note), validation, network::cost(model)};
}

/// State is found by the weights that it began with, so that what came out otherwise (of another
/// instruction set or number of threads) starts anew.
std::string weights_of(const network::Model& model) {
  return sha256_hex(network::to_onnx(model)).substr(0, 16);
}

}  // namespace

Compressor::Compressor(const RunConfig& config, std::filesystem::path folder)
    : config_(config), folder_(std::move(folder)) {
  if (config_.accuracy) return;
  float_recipe_ = distil_recipe(config_.distil);
  if (config_.prune.enabled()) float_recipe_ += prune_recipe(config_.prune, config_.distil);
}

std::vector<latency::Precision> Compressor::precisions() const {
  if (!config_.quantize.enabled) return {latency::Precision::Fp32};
  return {latency::Precision::Fp32, latency::Precision::Int8};
}

std::string Compressor::recipe(latency::Precision precision) const {
  if (config_.accuracy) return "no weights";
  const bool int8 = precision == latency::Precision::Int8;
  return float_recipe_ + (int8 ? quantize_recipe(config_.quantize.options) : "");
}

bool Compressor::takes_long() const {
  return config_.distil.epochs > 0.0 || config_.prune.enabled() || config_.quantize.enabled;
}

void Compressor::read_teachers() {
  if (config_.distil.epochs == 0.0 && !config_.prune.enabled()) return;
  for (const std::string& path : config_.distil.teachers) {
    if (path != "largest") teachers_[path] = read_model_of_space(path, *config_.space, "a teacher");
  }
}

const network::Model& Compressor::teacher(const std::string& path, supernet::Supernet& supernet) {
  if (path == "largest" && teachers_.count(path) == 0) {
    teachers_[path] = supernet.extract(config_.space->lower(config_.space->largest())).model;
  }
  return teachers_.at(path);
}

std::filesystem::path Compressor::state(const char* step,
                                        const search::Architecture& architecture) const {
  const std::string what = architecture.to_string() + "\n" + recipe(latency::Precision::Fp32);
  return folder_ / (std::string(step) + "-" + sha256_hex(what).substr(0, 16));
}

std::optional<supernet::ExtractedModel> Compressor::distilled(
    const search::Architecture& architecture, const std::string& name,
    const supernet::ExtractedModel& extracted, supernet::Supernet& supernet, Progress& progress,
    const std::function<bool()>& stop) {
  const DistilOptions& distil = config_.distil;
  supernet::Lesson lesson;
  lesson.students = {extracted.model};
  for (const std::string& path : distil.teachers) {
    if (distil.mutual) {
      lesson.students.push_back(teacher(path, supernet));
    } else {
      lesson.teachers.push_back(&teacher(path, supernet));
    }
  }
  lesson.options.epochs = distil.epochs;
  lesson.options.learning_rate = distil.learning_rate;
  lesson.options.warmup_epochs = distil.warmup_epochs;
  lesson.options.seed = config_.seed;
  lesson.options.distil = distil.loss;
  lesson.options.checkpoint = state("distil", architecture) / (weights_of(extracted.model) + ".pt");
  lesson.options.title = "distil " + name;
  std::vector<supernet::ExtractedModel> trained = supernet.train_alone(lesson, progress, stop);
  if (trained.empty()) return std::nullopt;
  return std::move(trained.front());
}

bool Compressor::prune(CompressedModel& network, const search::Architecture& architecture,
                       supernet::Supernet& supernet, Evaluators& evaluators, Progress& progress,
                       const std::function<bool()>& stop) {
  const supernet::PruneOptions& options = config_.prune;
  const bool timed = options.target && options.target->metric.kind == search::MetricKind::Latency;
  search::LatencyEvaluator* latency =
      timed ? &evaluators.latency(options.target->metric.device) : nullptr;
  supernet::PruneSchedule schedule(supernet, options, latency, config_.seed);
  const std::vector<std::string>& teachers = config_.distil.teachers;
  const network::Model* from = teachers.empty() ? nullptr : &teacher(teachers.front(), supernet);
  const std::filesystem::path rounds_of = state("prune", architecture) / weights_of(network.model);
  supernet::PruneOutcome outcome = schedule.run(network.model, from, rounds_of, progress, stop);
  if (outcome.end == supernet::PruneEnd::Stopped) return false;
  const auto rounds = outcome.rounds.size() - 1;
  if (rounds > 0) network.unpruned = std::move(network.model);
  network.model = std::move(outcome.pruned.model);
  network.validation = outcome.pruned.validation;
  network.steps.push_back(step_of("pruned",
                                  std::to_string(rounds) + (rounds == 1 ? " round" : " rounds") +
                                      ", ended by " + to_string(outcome.end),
                                  network.model, network.validation));
  return true;
}

std::optional<CompressedModel> Compressor::make_float(const search::Architecture& architecture,
                                                      const std::string& name,
                                                      supernet::Supernet& supernet,
                                                      Evaluators& evaluators, Progress& progress,
                                                      const std::function<bool()>& stop) {
  supernet::ExtractedModel extracted = supernet.extract(config_.space->lower(architecture));
  CompressedModel made;
  made.steps.push_back(step_of("inherited", "", extracted.model, extracted.validation));
  if (config_.distil.epochs > 0.0) {
    auto better = distilled(architecture, name, extracted, supernet, progress, stop);
    if (!better) return std::nullopt;
    extracted = std::move(*better);
    made.steps.push_back(step_of("distilled", significant(config_.distil.epochs) + " epochs",
                                 extracted.model, extracted.validation));
  }
  made.model = std::move(extracted.model);
  made.validation = extracted.validation;
  if (config_.prune.enabled() && !prune(made, architecture, supernet, evaluators, progress, stop)) {
    return std::nullopt;
  }
  return made;
}

std::optional<CompressedModel> Compressor::make_int8(const search::Architecture& architecture,
                                                     const network::Model& model,
                                                     supernet::Supernet& supernet,
                                                     Progress& progress,
                                                     const std::function<bool()>& stop) const {
  supernet::QuantizeOptions options = config_.quantize.options;
  options.training.seed = config_.seed;
  options.training.folder = state("quantize", architecture);
  auto done = supernet.quantize(model, &model, options, progress, stop);
  if (!done) return std::nullopt;
  supernet::QuantizedModel quantized = std::move(*done);
  const supernet::QuantizationReport& report = quantized.report;
  CompressedModel made;
  made.validation = report.after;
  std::string note = "observer " + report.observer;
  int64_t islands = 0;
  for (const supernet::LayerSensitivity& layer : report.layers) islands += layer.is_float ? 1 : 0;
  if (islands > 0) note += ", " + std::to_string(islands) + " layers in fp32";
  if (report.equalized_pairs > 0) {
    note += ", " + std::to_string(report.equalized_pairs) + " pairs equalised";
  }
  if (options.training.epochs > 0.0 && !report.is_trained) {
    char text[96];
    std::snprintf(text, sizeof(text), ", training for %g epochs left %.4f and was not kept",
                  options.training.epochs, report.trained.top1);
    note += text;
  }
  made.steps.push_back(step_of(report.is_trained ? "int8, calibrated" : "int8", note,
                               quantized.model, report.calibrated));
  if (report.is_trained) {
    made.steps.push_back(step_of("int8, trained", significant(options.training.epochs) + " epochs",
                                 quantized.model, report.trained));
  }
  for (CompressionStep& step : made.steps) {
    step.cost.params = network::cost(model.network).params;  // batch norms are folded by now
  }
  made.model = std::move(quantized.model);
  return made;
}

void Compressor::forget(const search::Architecture& architecture,
                        latency::Precision precision) const {
  std::error_code error;
  if (precision == latency::Precision::Int8) {
    std::filesystem::remove_all(state("quantize", architecture), error);
    return;
  }
  for (const char* step : {"distil", "prune"}) {
    std::filesystem::remove_all(state(step, architecture), error);
  }
}

}  // namespace lathe::cli
