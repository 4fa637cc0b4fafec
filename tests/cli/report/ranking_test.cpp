#include "cli/report/ranking.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/sample_summary.h"
#include "tests/support/temporary_folder.h"

namespace lathe::report {
namespace {

using test::message_of;

TEST_CASE("ranking_result of four subnets computed by hand") {
  const RankingResult result = support::sample_ranking().result.value();
  // Five of six pairs agree; ranks differ by 0, 0, 1, 1: 1 - 6 * 2 / (4 * 15).
  CHECK(result.kendall == doctest::Approx(4.0 / 6.0));
  CHECK(result.spearman == doctest::Approx(0.8));
  CHECK(result.macs_kendall == doctest::Approx(4.0 / 6.0));
  CHECK(result.pairs == 6);
  CHECK(result.reversed_pairs == 1);
  // 1.96 * sqrt(2) * 0.05 = 0.139: the three pairs that are 0.1 apart.
  CHECK(result.undecided_pairs == 3);
  // Gaps 0.1, 0.1, 0.2, 0.0; their deviation is sqrt(0.02 / 3).
  CHECK(result.mean_gap == doctest::Approx(0.1));
  CHECK(result.gap_error == doctest::Approx(0.0816497 / 2.0));
  // Only without a limit is the wrong one taken: 0.8 and not 0.9.
  CHECK(result.worst_loss == doctest::Approx(0.1));
  CHECK(result.mean_loss == doctest::Approx(0.025));
  CHECK(result.kendall_low <= result.kendall);
  CHECK(result.kendall_high == 1.0);
  CHECK(result.level == 0.95);
}

TEST_CASE("ranking_result repeats with the seed and refuses what is not trained") {
  Ranking ranking = support::sample_ranking();
  const RankingResult a = ranking_result(ranking.subnets, 3);
  const RankingResult b = ranking_result(ranking.subnets, 3);
  CHECK(a.kendall_low == b.kendall_low);
  ranking.subnets[2].retrained.reset();
  CHECK(message_of<InvariantError>([&] { ranking_result(ranking.subnets, 3); }) ==
        "ranking: subnet 2-0 has no retrained accuracy, expected one of each");
  ranking.subnets.resize(1);
  CHECK(message_of<InvariantError>([&] { ranking_result(ranking.subnets, 3); }) ==
        "ranking: subnets = 1, expected at least 2");
}

TEST_CASE("ranking_table prints a row a subnet and what it means") {
  Ranking ranking = support::sample_ranking();
  ranking.result->kendall_low = 0.21;
  CHECK(ranking_table(ranking) ==
        R"(inherited from a supernet of 12 epochs, retrained alone for 3
subnet    MACs   params    inherited %    retrained %     gap    rank
---------------------------------------------------------------------
     1  1.00 M  100.0 k  50.00 +- 5.00  60.00 +- 5.00  +10.00  4 -> 4
     2  2.00 M  200.0 k  60.00 +- 5.00  70.00 +- 5.00  +10.00  3 -> 3
     3  3.00 M  300.0 k  70.00 +- 5.00  90.00 +- 5.00  +20.00  2 -> 1
     4  4.00 M  400.0 k  80.00 +- 5.00  80.00 +- 5.00   +0.00  1 -> 2

Kendall's tau-b 0.67, 95 % interval [0.21, 1.00] (bootstrap over subnets); Spearman 0.80
MACs alone order them with tau-b 0.67
of 6 pairs, 1 in the other order when retrained, 3 closer than their standard errors tell apart
retrained minus inherited: +10.00 points on average (standard error 4.08)
picking the best by inherited accuracy within a limit of MACs loses 2.50 points on average, 10.00 at most
MACs order the networks at least as well: inherited accuracy tells little beyond size. Train the supernet longer (supernet.epochs) or on more networks a step (supernet.random_subnets), or fine-tune several networks (export.networks, compress.distil) before choosing one.
)");
  ranking.result.reset();
  ranking.subnets[3].retrained.reset();
  const std::string text = ranking_table(ranking);
  CHECK(text.find("     4  4.00 M  400.0 k  80.00 +- 5.00              -       -     -\n") !=
        std::string::npos);
  CHECK(text.find("Kendall") == std::string::npos);
}

TEST_CASE("ranking_advice follows the interval and what size alone tells") {
  RankingResult result;
  result.kendall = 0.8;
  result.kendall_low = 0.65;
  CHECK(ranking_advice(result) == "Inherited accuracy can be searched on.");
  result.kendall_low = 0.3;
  CHECK(ranking_advice(result).find("Inherited accuracy orders networks, with mistakes") == 0);
  result.macs_kendall = 0.8;
  CHECK(ranking_advice(result).find("MACs order the networks at least as well") == 0);
  result.kendall_low = 0.0;
  CHECK(ranking_advice(result).find("The interval holds zero") == 0);
}

TEST_CASE("ranking.json is read back exactly, and faults are named") {
  const test::TemporaryFolder folder;
  const auto file = folder / "ranking.json";
  CHECK_FALSE(read_ranking(file).has_value());
  Ranking ranking = support::sample_ranking();
  ranking.subnets[1].retrained.reset();
  ranking.result.reset();
  write_ranking(file, ranking);
  const Ranking back = read_ranking(file).value();
  CHECK(ranking_to_json(back) == ranking_to_json(ranking));
  CHECK_FALSE(back.subnets[1].retrained.has_value());
  CHECK(back.subnets[0].retrained->top1 == 0.6);
  std::string text = read_file(file);
  CHECK(text.find("\"format_version\": 1") != std::string::npos);
  text.replace(text.find("\"format_version\": 1"), 19, "\"format_version\": 2");
  write_file_atomically(file, text);
  CHECK(message_of<DataError>([&] { read_ranking(file); }) ==
        file.string() + ": /format_version = 2, expected 1");
  write_file_atomically(file, "{");
  CHECK(message_of<DataError>([&] { read_ranking(file); }).find("not a JSON document") !=
        std::string::npos);
}

}  // namespace
}  // namespace lathe::report
