#include "cli/report/ranking.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/report/text.h"
#include "cli/text_table.h"
#include "core/error.h"
#include "core/progress.h"
#include "core/statistics.h"

namespace lathe::report {
namespace {

constexpr int kResamples = 2000;

template <typename... Values>
std::string printed(const char* format, Values... values) {
  std::array<char, 256> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, values...);
  return buffer.data();
}

void count_pairs(const std::vector<RankedSubnet>& subnets, RankingResult& result) {
  for (size_t i = 0; i < subnets.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const double inherited = subnets[i].inherited.top1 - subnets[j].inherited.top1;
      const double retrained = subnets[i].retrained->top1 - subnets[j].retrained->top1;
      const double error =
          std::hypot(subnets[i].retrained->standard_error, subnets[j].retrained->standard_error);
      ++result.pairs;
      if (inherited * retrained < 0.0) ++result.reversed_pairs;
      if (std::abs(retrained) < 1.96 * error) ++result.undecided_pairs;
    }
  }
}

/// What is lost when the network is picked by inherited accuracy, under each subnet's MACs.
void measure_loss(const std::vector<RankedSubnet>& subnets, RankingResult& result) {
  for (const RankedSubnet& limit : subnets) {
    const RankedSubnet* picked = nullptr;
    double best = 0.0;
    for (const RankedSubnet& each : subnets) {
      if (each.macs > limit.macs) continue;
      best = std::max(best, each.retrained->top1);
      if (picked == nullptr || each.inherited.top1 > picked->inherited.top1) picked = &each;
    }
    const double loss = best - picked->retrained->top1;
    result.mean_loss += loss / static_cast<double>(subnets.size());
    result.worst_loss = std::max(result.worst_loss, loss);
  }
}

/// Rank by falling value, from 1; equal values share the best rank.
std::vector<int64_t> ranks(const std::vector<double>& values) {
  std::vector<int64_t> result;
  for (const double value : values) {
    result.push_back(1 + std::count_if(values.begin(), values.end(),
                                       [value](double other) { return other > value; }));
  }
  return result;
}

std::string accuracy_text(const Accuracy& accuracy) {
  return printed("%.2f +- %.2f", 100.0 * accuracy.top1, 100.0 * accuracy.standard_error);
}

std::string rows(const Ranking& ranking) {
  std::vector<double> inherited;
  std::vector<double> retrained;
  for (const RankedSubnet& subnet : ranking.subnets) {
    inherited.push_back(subnet.inherited.top1);
    retrained.push_back(subnet.retrained ? subnet.retrained->top1 : -1.0);
  }
  const std::vector<int64_t> before = ranks(inherited);
  const std::vector<int64_t> after = ranks(retrained);
  cli::TextTable table({"subnet", "MACs", "params", "inherited %", "retrained %", "gap", "rank"});
  for (size_t i = 0; i < ranking.subnets.size(); ++i) {
    const RankedSubnet& subnet = ranking.subnets[i];
    const bool trained = subnet.retrained.has_value();
    table.add(
        {std::to_string(i + 1), format_count(static_cast<double>(subnet.macs)),
         format_count(static_cast<double>(subnet.params)), accuracy_text(subnet.inherited),
         trained ? accuracy_text(*subnet.retrained) : "-",
         trained ? printed("%+.2f", 100.0 * (retrained[i] - inherited[i])) : "-",
         ranking.result ? std::to_string(before[i]) + " -> " + std::to_string(after[i]) : "-"});
  }
  return table.text();
}

}  // namespace

RankingResult ranking_result(const std::vector<RankedSubnet>& subnets, uint64_t seed) {
  std::vector<double> inherited;
  std::vector<double> retrained;
  std::vector<double> macs;
  std::vector<double> gaps;
  for (const RankedSubnet& subnet : subnets) {
    if (!subnet.retrained) {
      throw InvariantError("ranking: subnet " + subnet.architecture +
                           " has no retrained accuracy, expected one of each");
    }
    inherited.push_back(subnet.inherited.top1);
    retrained.push_back(subnet.retrained->top1);
    macs.push_back(static_cast<double>(subnet.macs));
    gaps.push_back(retrained.back() - inherited.back());
  }
  if (subnets.size() < 2) {
    throw InvariantError("ranking: subnets = " + std::to_string(subnets.size()) +
                         ", expected at least 2");
  }
  RankingResult result;
  result.kendall = kendall_tau(inherited, retrained);
  const Interval interval =
      kendall_interval(inherited, retrained, Rng(seed).derive("ranking"), kResamples);
  result.kendall_low = interval.low;
  result.kendall_high = interval.high;
  result.level = interval.level;
  result.spearman = spearman(inherited, retrained);
  result.macs_kendall = kendall_tau(macs, retrained);
  result.mean_gap = mean(gaps);
  result.gap_error = standard_deviation(gaps) / std::sqrt(static_cast<double>(gaps.size()));
  count_pairs(subnets, result);
  measure_loss(subnets, result);
  return result;
}

std::string ranking_advice(const RankingResult& result) {
  if (result.kendall_low <= 0.0) {
    return "The interval holds zero: this does not show that inherited accuracy orders networks at "
           "all. Train the supernet longer (supernet.epochs), or take more subnets (--subnets).";
  }
  if (result.kendall <= result.macs_kendall) {
    return "MACs order the networks at least as well: inherited accuracy tells little beyond size. "
           "Train the supernet longer (supernet.epochs) or on more networks a step "
           "(supernet.random_subnets), or fine-tune several networks (export.networks, "
           "compress.distil) before choosing one.";
  }
  if (result.kendall_low >= 0.6) {
    return "Inherited accuracy can be searched on.";
  }
  return "Inherited accuracy orders networks, with mistakes between close ones: fine-tune several "
         "(export.networks, compress.distil) before choosing one.";
}

std::string ranking_table(const Ranking& ranking) {
  std::string text = printed("inherited from a supernet of %g epochs, retrained alone for %g\n",
                             ranking.supernet_epochs, ranking.epochs) +
                     rows(ranking);
  if (!ranking.result) return text;
  const RankingResult& result = *ranking.result;
  text += printed(
      "\nKendall's tau-b %.2f, %g %% interval [%.2f, %.2f] (bootstrap over subnets); "
      "Spearman %.2f\n",
      result.kendall, 100.0 * result.level, result.kendall_low, result.kendall_high,
      result.spearman);
  text += printed("MACs alone order them with tau-b %.2f\n", result.macs_kendall);
  text += "of " + std::to_string(result.pairs) + " pairs, " +
          std::to_string(result.reversed_pairs) + " in the other order when retrained, " +
          std::to_string(result.undecided_pairs) +
          " closer than their standard errors tell apart\n";
  text += printed("retrained minus inherited: %+.2f points on average (standard error %.2f)\n",
                  100.0 * result.mean_gap, 100.0 * result.gap_error);
  text += printed(
      "picking the best by inherited accuracy within a limit of MACs loses %.2f points "
      "on average, %.2f at most\n",
      100.0 * result.mean_loss, 100.0 * result.worst_loss);
  return text + ranking_advice(result) + "\n";
}

}  // namespace lathe::report
