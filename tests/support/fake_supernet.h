#pragma once

#include <functional>
#include <vector>

#include "core/error.h"
#include "network/cost.h"
#include "network/pruning/prune.h"
#include "supernet/supernet.h"

namespace lathe::test {

/// A supernet that trains nothing: accuracy follows from the network's size, fine-tuning moves
/// every weight a little, depending on its seed alone, and gains a fixed accuracy. What it cannot
/// do throws.
class FakeSupernet : public supernet::Supernet {
 public:
  search::AccuracyEstimate accuracy(const network::Model& model) override {
    return {top1_of(model), 0.001, 1000};
  }
  std::string training_identity() const override { return training; }
  supernet::ExtractedModel calibrate(const network::Model& model) override {
    ++calibrations;
    return {model, accuracy(model)};
  }

  std::vector<supernet::ExtractedModel> train_alone(const supernet::Lesson& lesson, Progress&,
                                                    const std::function<bool()>&) override {
    const supernet::StandaloneOptions& options = lesson.options;
    const network::Model& model = lesson.students.at(0);
    tunings.push_back(options);
    with_teacher.push_back(!lesson.teachers.empty());
    supernet::ExtractedModel tuned{model, {top1_of(model) + gain, 0.001, 1000}};
    Rng rng = Rng(options.seed).derive("fake");
    for (auto& [name, tensor] : tuned.model.weights) {
      for (float& value : tensor.values) value += static_cast<float>(0.01 * rng.uniform());
    }
    return {tuned};
  }

  network::ChannelScores channel_scores(const network::Model& model,
                                        const std::vector<network::ChannelGroup>& groups,
                                        const ChannelScoreOptions& options) override {
    return network::weight_scores(model, groups, options.criterion, options.seed);
  }

  std::function<double(const network::Model&)> top1_of = [](const network::Model& model) {
    return 0.9 - 10.0 / static_cast<double>(network::cost(model.network).params);
  };
  double gain = 0.01;
  std::string training = "data: fake";
  int calibrations = 0;
  std::vector<FineTuneOptions> tunings;
  std::vector<bool> with_teacher;

  const supernet::DataSummary& data() const override { return refuse<supernet::DataSummary&>(); }
  std::vector<supernet::EpochRecord> train(Progress&, const std::function<bool()>&) override {
    return refuse<std::vector<supernet::EpochRecord>>();
  }
  bool trained() const override { return refuse<bool>(); }
  search::AccuracyEvaluator& evaluator() override { return refuse<search::AccuracyEvaluator&>(); }
  supernet::ExtractedModel extract(const network::Network&) override {
    return refuse<supernet::ExtractedModel>();
  }
  std::optional<supernet::QuantizedModel> quantize(const network::Model&, const network::Model*,
                                                   const supernet::QuantizeOptions&, Progress&,
                                                   const std::function<bool()>&) override {
    return refuse<std::optional<supernet::QuantizedModel>>();
  }
  network::Tensor logits(const network::Model&, const network::Tensor&) override {
    return refuse<network::Tensor>();
  }
  supernet::LabelledImages validation_images(int64_t, int64_t) override {
    return refuse<supernet::LabelledImages>();
  }

 private:
  template <typename T>
  [[noreturn]] static T refuse() {
    throw InvariantError("FakeSupernet: not faked");
  }
};

}  // namespace lathe::test
