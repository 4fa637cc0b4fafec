#include <algorithm>
#include <cmath>
#include <numeric>

#include "supernet/train/samplers.h"

namespace lathe::supernet {
namespace {

/// How many options of a gene may be drawn.
enum class Freedom { Largest, TwoLargest, All };

/// The paper's phases in epochs, the learning rates against the first one's, and networks a step.
struct PhasePlan {
  const char* name;
  double epochs;
  double learning_rate;
  double warmup_epochs;
  int64_t subnets;
  Freedom operators, depth, width;
};
constexpr PhasePlan kPlan[] = {
    {"full", 180.0, 1.0, 5.0, 1, Freedom::Largest, Freedom::Largest, Freedom::Largest},
    {"kernel", 120.0, 0.37, 5.0, 1, Freedom::All, Freedom::Largest, Freedom::Largest},
    {"depth 1", 25.0, 0.03, 0.0, 2, Freedom::All, Freedom::TwoLargest, Freedom::Largest},
    {"depth 2", 120.0, 0.09, 5.0, 2, Freedom::All, Freedom::All, Freedom::Largest},
    {"width 1", 25.0, 0.03, 0.0, 4, Freedom::All, Freedom::All, Freedom::TwoLargest},
    {"width 2", 120.0, 0.09, 5.0, 4, Freedom::All, Freedom::All, Freedom::All},
};

std::vector<TrainingPhase> plan_phases(const TrainOptions& options, int64_t steps_per_epoch) {
  double epochs = 0.0;
  for (const PhasePlan& plan : kPlan) epochs += plan.epochs;
  const double scale = options.epochs * static_cast<double>(steps_per_epoch) / epochs;
  std::vector<TrainingPhase> phases;
  double end = 0.0;
  int64_t first = 0;
  for (const PhasePlan& plan : kPlan) {
    end += plan.epochs * scale;
    TrainingPhase phase;
    phase.name = plan.name;
    phase.first_step = first;
    phase.steps = std::max<int64_t>(1, std::llround(end) - first);
    phase.warmup_steps =
        std::min<int64_t>(std::llround(plan.warmup_epochs * scale), phase.steps - 1);
    phase.learning_rate = options.learning_rate * plan.learning_rate;
    phase.takes_teacher = phases.size() == 1;
    phase.sorts_channels = plan.name == std::string("width 1");
    first += phase.steps;
    phases.push_back(phase);
  }
  return phases;
}

/// "stage1.block0.kernel" -> "kernel".
std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

Freedom freedom_of(const search::Gene& gene, const PhasePlan& plan) {
  const std::string kind = last_part(gene.name);
  if (kind == "resolution") return Freedom::All;
  if (kind == "depth") return plan.depth;
  if (kind == "width" || kind == "expand" || kind == "hidden") return plan.width;
  return plan.operators;
}

/// The gene's options from the largest down; names keep the file's order, after the largest one.
std::vector<uint16_t> order_options(const search::Gene& gene, uint16_t largest) {
  std::vector<uint16_t> order(gene.options.size());
  std::iota(order.begin(), order.end(), uint16_t{0});
  std::stable_sort(order.begin(), order.end(), [&](uint16_t a, uint16_t b) {
    if ((a == largest) != (b == largest)) return a == largest;
    return std::strtod(gene.options[a].c_str(), nullptr) >
           std::strtod(gene.options[b].c_str(), nullptr);
  });
  return order;
}

}  // namespace

ProgressiveSampler::ProgressiveSampler(const search::SearchSpace& space,
                                       const TrainOptions& options, int64_t steps_per_epoch)
    : SubnetSampler(plan_phases(options, steps_per_epoch)),
      space_(space),
      largest_(space.largest()) {
  for (size_t gene = 0; gene < space.genes().size(); ++gene) {
    from_largest_.push_back(order_options(space.genes()[gene], largest_.genes[gene]));
  }
}

std::vector<DrawnSubnet> ProgressiveSampler::draw(int64_t step, Rng& rng, const TryLoss&) {
  const auto index = static_cast<size_t>(&phase_at(phases(), step) - phases().data());
  const PhasePlan& plan = kPlan[index];
  std::vector<DrawnSubnet> subnets;
  for (int64_t s = 0; s < plan.subnets; ++s) {
    DrawnSubnet subnet;
    for (size_t gene = 0; gene < from_largest_.size(); ++gene) {
      const Freedom freedom = freedom_of(space_.genes()[gene], plan);
      const size_t options = from_largest_[gene].size();
      const size_t allowed = freedom == Freedom::All          ? options
                             : freedom == Freedom::TwoLargest ? std::min<size_t>(2, options)
                                                              : 1;
      subnet.architecture.genes.push_back(from_largest_[gene][rng.below(allowed)]);
    }
    subnet.architecture = space_.canonical(subnet.architecture);
    if (index == 0) {
      subnet.role = SubnetRole::Largest;
      subnet.regularised = true;
    }
    subnets.push_back(std::move(subnet));
  }
  return subnets;
}

}  // namespace lathe::supernet
