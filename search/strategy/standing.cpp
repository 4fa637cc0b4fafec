#include "search/strategy/standing.h"

#include <algorithm>
#include <limits>
#include <map>

#include "search/archive/dominance.h"

namespace lathe::search {
namespace {

/// The candidates' indices by rank, best first.
std::vector<std::vector<size_t>> constrained_fronts(const std::vector<Objectives>& points,
                                                    const std::vector<double>& violations) {
  if (points.size() != violations.size()) {
    throw InvariantError("constrained_standings: " + std::to_string(violations.size()) +
                         " violations, expected " + std::to_string(points.size()));
  }
  std::vector<size_t> feasible;
  std::map<double, std::vector<size_t>> infeasible;
  for (size_t i = 0; i < points.size(); ++i) {
    if (violations[i] == 0.0) {
      feasible.push_back(i);
    } else {
      infeasible[violations[i]].push_back(i);
    }
  }
  std::vector<Objectives> feasible_points;
  for (const size_t i : feasible) feasible_points.push_back(points[i]);
  std::vector<std::vector<size_t>> fronts = non_dominated_fronts(feasible_points);
  for (auto& front : fronts) {
    for (size_t& i : front) i = feasible[i];
  }
  for (auto& [violation, members] : infeasible) fronts.push_back(std::move(members));
  return fronts;
}

std::vector<Objectives> gather(const std::vector<Objectives>& points,
                               const std::vector<size_t>& members) {
  std::vector<Objectives> gathered;
  for (const size_t i : members) gathered.push_back(points[i]);
  return gathered;
}

/// Drops the most crowded member until `count` are left.
void thin(const std::vector<Objectives>& points, std::vector<size_t>& members, size_t count) {
  while (members.size() > count) {
    const std::vector<double> distance = crowding_distances(gather(points, members));
    const auto most_crowded = std::min_element(distance.begin(), distance.end()) - distance.begin();
    members.erase(members.begin() + most_crowded);
  }
}

}  // namespace

std::vector<Standing> constrained_standings(const std::vector<Objectives>& points,
                                            const std::vector<double>& violations) {
  std::vector<Standing> standings(points.size());
  int64_t rank = 0;
  for (const auto& front : constrained_fronts(points, violations)) {
    const std::vector<double> distance = crowding_distances(gather(points, front));
    for (size_t i = 0; i < front.size(); ++i) standings[front[i]] = {rank, distance[i]};
    ++rank;
  }
  return standings;
}

std::vector<size_t> select_survivors(const std::vector<Objectives>& points,
                                     const std::vector<double>& violations, size_t count) {
  std::vector<size_t> survivors;
  for (auto& front : constrained_fronts(points, violations)) {
    if (survivors.size() == count) break;
    thin(points, front, count - survivors.size());
    survivors.insert(survivors.end(), front.begin(), front.end());
  }
  std::sort(survivors.begin(), survivors.end());
  return survivors;
}

bool is_better(const Standing& a, const Standing& b) {
  return a.rank != b.rank ? a.rank < b.rank : a.crowding > b.crowding;
}

size_t tournament(const std::vector<Standing>& standings, int64_t drawn, Rng& rng) {
  size_t best = rng.below(standings.size());
  for (int64_t i = 1; i < drawn; ++i) {
    const size_t other = rng.below(standings.size());
    if (is_better(standings[other], standings[best])) best = other;
  }
  return best;
}

void gather_values(const StrategyContext& context, const std::vector<int64_t>& indices,
                   std::vector<Objectives>& points, std::vector<double>& violations) {
  points.clear();
  violations.clear();
  for (const int64_t index : indices) {
    const Metrics& metrics = context.history[static_cast<size_t>(index)].metrics;
    points.push_back(context.problem.minimised(metrics));
    violations.push_back(context.problem.violation(metrics));
  }
}

}  // namespace lathe::search
