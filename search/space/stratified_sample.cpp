#include "search/space/stratified_sample.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/error.h"
#include "network/cost.h"

namespace lathe::search {
namespace {

constexpr int kRandomTries = 50;  ///< of a stratum, before mutations lead there
constexpr int kWalks = 20;        ///< of a stratum
constexpr int kMutations = 200;   ///< of a walk
constexpr int64_t kTriesAnywhere = 2000;

double log_macs(const SearchSpace& space, const Architecture& architecture) {
  const network::Cost cost = network::cost(space.lower(architecture));
  return std::log(static_cast<double>(std::max<int64_t>(1, cost.macs)));
}

/// The architectures chosen so far, by their size.
using Chosen = std::map<Architecture, double>;

/// A range of log MACs; the ends belong to it, so that the extremes do.
struct Stratum {
  double low = 0.0;
  double high = 0.0;
  double distance(double size) const { return std::max({low - size, size - high, 0.0}); }
};

std::optional<Architecture> one_of(const SearchSpace& space, const Stratum& stratum,
                                   const Chosen& chosen, Rng& rng) {
  for (int t = 0; t < kRandomTries; ++t) {
    const Architecture drawn = space.sample_genes(rng);
    if (chosen.count(drawn) == 0 && stratum.distance(log_macs(space, drawn)) == 0.0) return drawn;
  }
  for (int walk = 0; walk < kWalks; ++walk) {
    Architecture at = space.sample_genes(rng);
    double distance = stratum.distance(log_macs(space, at));
    for (int m = 0; m < kMutations; ++m) {
      if (distance == 0.0 && chosen.count(at) == 0) return at;
      const Architecture next = mutate(space, at, {}, rng);
      const double next_distance = stratum.distance(log_macs(space, next));
      if (next_distance > distance) continue;
      at = next;
      distance = next_distance;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<Architecture> stratified_by_macs(const SearchSpace& space, int64_t count, Rng rng) {
  if (count < 1) {
    throw InvariantError("stratified_by_macs: count = " + std::to_string(count) +
                         ", expected at least 1");
  }
  const double low = log_macs(space, space.smallest());
  const double high = std::max(low, log_macs(space, space.largest()));
  const double step = (high - low) / static_cast<double>(count);
  Chosen chosen;
  for (int64_t s = 0; s < count; ++s) {
    Rng own = rng.derive("stratum", static_cast<uint64_t>(s));
    const Stratum stratum = {low + step * static_cast<double>(s),
                             s + 1 == count ? high : low + step * static_cast<double>(s + 1)};
    if (const auto found = one_of(space, stratum, chosen, own)) {
      chosen.emplace(*found, log_macs(space, *found));
    }
  }
  Rng anywhere = rng.derive("anywhere");
  for (int64_t t = 0; t < kTriesAnywhere * count; ++t) {
    if (static_cast<int64_t>(chosen.size()) == count) break;
    const Architecture drawn = space.sample_genes(anywhere);
    if (chosen.count(drawn) == 0) chosen.emplace(drawn, log_macs(space, drawn));
  }
  if (static_cast<int64_t>(chosen.size()) < count) {
    throw ConfigError("space " + space.name() + ": subnets = " + std::to_string(count) +
                      ", expected at most the " + std::to_string(chosen.size()) +
                      " distinct ones that were found");
  }
  std::vector<std::pair<double, Architecture>> sorted;
  for (const auto& [architecture, size] : chosen) sorted.emplace_back(size, architecture);
  std::sort(sorted.begin(), sorted.end());
  std::vector<Architecture> architectures;
  for (auto& [size, architecture] : sorted) architectures.push_back(std::move(architecture));
  return architectures;
}

}  // namespace lathe::search
