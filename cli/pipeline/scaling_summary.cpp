#include "cli/pipeline/scaling_summary.h"

namespace lathe::cli {
namespace {

report::Factors factors_of(const search::ScaleFactors& from) {
  return {from.depth, from.width, from.resolution};
}

report::ScaledNetwork network_of(const search::ScaledCandidate& from) {
  report::ScaledNetwork network;
  network.architecture = from.architecture.to_string();
  network.asked = factors_of(from.asked);
  network.realised = factors_of(from.realised);
  network.predicted = from.predicted;
  network.cost = from.cost;
  network.top1 = from.accuracy;
  network.candidate_index = from.index;
  return network;
}

}  // namespace

std::optional<report::Scaling> scaling_of(const std::optional<search::ScalingFamily>& family) {
  if (!family) return std::nullopt;
  report::Scaling scaling;
  scaling.budget_metric = search::to_string(family->budget);
  scaling.factor = family->factor;
  scaling.budget_cost = family->budget_cost;
  scaling.baseline = family->baseline.to_string();
  if (family->law) {
    const models::PowerLaw& law = *family->law;
    scaling.fit = report::ScalingFit{law.intercept,
                                     {law.exponents[0], law.exponents[1], law.exponents[2]},
                                     law.r_squared,
                                     law.residual,
                                     law.points};
  }
  for (const search::ScaledCandidate& point : family->grid) {
    scaling.grid.push_back(network_of(point));
  }
  if (family->best) scaling.best = static_cast<int64_t>(*family->best);
  for (const search::FamilyMember& member : family->members) {
    scaling.family.push_back({member.phi, network_of(member.candidate), member.same_as});
  }
  return scaling;
}

}  // namespace lathe::cli
