#include "search/archive/journal.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <doctest/doctest.h>

#include <future>
#include <string>
#include <vector>

#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::TemporaryFolder;

Journal::Proposal proposal(int64_t index) {
  Journal::Proposal result;
  result.index = index;
  result.architecture = Architecture{{1, 2, static_cast<uint16_t>(index)}};
  result.computation.words = {1, static_cast<uint64_t>(index)};
  result.structure.words = {2, static_cast<uint64_t>(index)};
  result.counted[parse_metric("macs")] = {12345, 12345, 12345};
  return result;
}

latency::LatencyEstimate estimate() {
  latency::LatencyEstimate result;
  result.median_ms = 0.1 + 0.2;  // not a short decimal
  result.interval_ms = {0.29, 1.0 / 3.0, 0.95};
  result.verdict = latency::Verdict::Unsteady;
  return result;
}

TEST_CASE("Journal gives back what was written, after closing, bit by bit") {
  const TemporaryFolder folder;
  {
    Journal journal(folder / "search.sqlite");
    Journal::Transaction transaction(journal);
    journal.add(proposal(0));
    journal.add(proposal(1));
    journal.add(Journal::Accuracy{0, AccuracyEstimate{1.0 / 3.0, 0.001, 5000}});
    journal.add(Journal::Accuracy{1, Failure{FailureKind::Internal, "it broke"}});
    journal.add(Journal::Measurement{0, "pi4", estimate()});
    journal.add(Journal::Measurement{0, "pi5", Failure{FailureKind::Crashed, "signal 11"}});
    journal.add(GenerationRecord{0, 20, 0.5, 7, 0.9, 12.5});
    journal.add(GenerationRecord{0, 20, 0.6, 8, 0.9, 12.5});  // replaced
    journal.set_strategy_state({2, 0, "{\"a\":1}"});
    journal.set_note("reference", "[1,2]");
    transaction.commit();
  }
  Journal journal(folder / "search.sqlite");
  const auto proposals = journal.proposals();
  REQUIRE(proposals.size() == 2);
  CHECK(proposals[1].architecture == proposal(1).architecture);
  CHECK(proposals[1].computation == proposal(1).computation);
  CHECK(proposals[1].structure == proposal(1).structure);
  CHECK(proposals[1].counted.at(parse_metric("macs")).high == 12345);
  const auto accuracies = journal.accuracies();
  REQUIRE(accuracies.size() == 2);
  CHECK(accuracies[0].result->top1 == 1.0 / 3.0);
  CHECK(accuracies[0].result->images == 5000);
  CHECK(accuracies[1].result.failure().kind == FailureKind::Internal);
  CHECK(accuracies[1].result.failure().message == "it broke");
  const auto measurements = journal.measurements();
  REQUIRE(measurements.size() == 2);
  CHECK(measurements[0].device == "pi4");
  CHECK(measurements[0].result->median_ms == 0.1 + 0.2);
  CHECK(measurements[0].result->interval_ms.high == 1.0 / 3.0);
  CHECK(measurements[0].result->verdict == latency::Verdict::Unsteady);
  CHECK(measurements[1].result.failure().kind == FailureKind::Crashed);
  REQUIRE(journal.generations().size() == 1);
  CHECK(journal.generations()[0].hypervolume == 0.6);
  CHECK(journal.strategy_state()->asked == 2);
  CHECK(journal.strategy_state()->text == "{\"a\":1}");
  CHECK(journal.note("reference") == "[1,2]");
  CHECK_FALSE(journal.note("nothing").has_value());
}

TEST_CASE("Journal keeps the partial results of candidates that race") {
  Journal journal(":memory:");
  Journal::Proposal asked = proposal(0);
  asked.told = 17;
  journal.add(asked);
  journal.add(Journal::PartialAccuracy{0, 1, 80, 100});
  journal.add(Journal::PartialAccuracy{0, 2, 161, 200});  // replaces
  journal.add(Journal::CoarseMeasurement{0, "pi4", estimate()});
  CHECK(journal.proposals()[0].told == 17);
  const auto partial = journal.partial_accuracies();
  REQUIRE(partial.size() == 1);
  CHECK(partial[0].parts == 2);
  CHECK(partial[0].correct == 161);
  CHECK(partial[0].images == 200);
  const auto coarse = journal.coarse_measurements();
  REQUIRE(coarse.size() == 1);
  CHECK(coarse[0].device == "pi4");
  CHECK(coarse[0].estimate.median_ms == 0.1 + 0.2);
  CHECK(journal.measurements().empty());
  CHECK(journal.accuracies().empty());
}

TEST_CASE("Journal brings a journal of format 1 to the present one") {
  const TemporaryFolder folder;
  const std::string path = (folder / "search.sqlite").string();
  {
    Journal journal(path);
    journal.bind({{"seed", "7"}});
    journal.add(proposal(0));
  }
  SQLite::Database(path, SQLite::OPEN_READWRITE)
      .exec(
          "DROP TABLE partial_accuracy; DROP TABLE coarse_measurement;"
          "ALTER TABLE proposal DROP COLUMN told; PRAGMA user_version=1");
  for (int time = 0; time < 2; ++time) {
    Journal journal(path);
    CHECK(journal.proposals().at(0).told == 0);
    CHECK(journal.partial_accuracies().empty());
    CHECK(journal.coarse_measurements().empty());
    CHECK_NOTHROW(journal.bind({{"/search/racing", "false"}, {"seed", "7"}}));
    CHECK(message_of<ConfigError>([&] {
            journal.bind({{"/search/racing", "true"}, {"seed", "7"}});
          }) == path + ": /search/racing = true, expected false as when this search was started");
  }
}

TEST_CASE("Journal::Transaction takes back what was not committed") {
  Journal journal(":memory:");
  {
    Journal::Transaction transaction(journal);
    journal.add(proposal(0));
  }
  CHECK(journal.proposals().empty());
  {
    Journal::Transaction transaction(journal);
    CHECK(message_of<InvariantError>([&] { Journal::Transaction second(journal); }) ==
          "Journal::Transaction: a transaction is open, expected none");
    journal.add(proposal(0));
    transaction.commit();
    CHECK(message_of<InvariantError>([&] { transaction.commit(); }) ==
          "Journal::Transaction::commit: called twice, expected once");
  }
  CHECK(journal.proposals().size() == 1);
}

TEST_CASE("Journal refuses a second value for one candidate") {
  Journal journal(":memory:");
  journal.add(Journal::Accuracy{0, AccuracyEstimate{0.5, 0.1, 10}});
  CHECK(message_of<DataError>([&] {
          journal.add(Journal::Accuracy{0, AccuracyEstimate{0.6, 0.1, 10}});
        }).find("UNIQUE constraint failed: accuracy.idx") != std::string::npos);
  CHECK(journal.accuracies()[0].result->top1 == 0.5);
}

TEST_CASE("Journal forgets the failures from one candidate on, and nothing else") {
  Journal journal(":memory:");
  const Failure failure{FailureKind::Crashed, "signal 11"};
  for (const int64_t index : {0, 1, 2}) {
    journal.add(proposal(index));
    journal.add(Journal::Measurement{index, "pi4", failure});
    journal.add(Journal::Measurement{index, "pi5", estimate()});
  }
  journal.add(Journal::Accuracy{0, failure});
  journal.add(Journal::Accuracy{2, failure});
  journal.forget_failures(1);
  const auto accuracies = journal.accuracies();
  REQUIRE(accuracies.size() == 1);
  CHECK(accuracies[0].index == 0);
  std::string left;
  for (const auto& m : journal.measurements()) left += std::to_string(m.index) + m.device + " ";
  CHECK(left == "0pi4 0pi5 1pi5 2pi5 ");
  // Nothing to forget is no commit of its own.
  journal.set_commit_hook([](int64_t) { FAIL("committed"); });
  journal.forget_failures(1);
}

TEST_CASE("Journal::bind names every value that differs") {
  const TemporaryFolder folder;
  const std::string path = (folder / "search.sqlite").string();
  { Journal(path).bind({{"/search/population", "20"}, {"seed", "7"}, {"space", "a"}}); }
  Journal journal(path);
  CHECK_NOTHROW(journal.bind({{"/search/population", "20"}, {"seed", "7"}, {"space", "a"}}));
  CHECK(message_of<ConfigError>([&] {
          journal.bind({{"/search/population", "30"}, {"seed", "7"}, {"new", "x"}});
        }) == path + ": /search/population = 30, expected 20 as when this search was started\n" +
                  path + ": new = x, expected nothing as when this search was started\n" + path +
                  ": space = nothing, expected a as when this search was started");
}

TEST_CASE("Journal is made once by several that open it at the same moment") {
  const TemporaryFolder folder;
  for (int round = 0; round < 20; ++round) {
    const auto path = folder / (std::to_string(round) + ".sqlite");
    std::vector<std::future<std::string>> openers;
    for (int i = 0; i < 8; ++i) {
      openers.push_back(std::async(std::launch::async, [&]() -> std::string {
        try {
          Journal journal(path);
          return journal.proposals().empty() ? "" : "proposals in a new journal";
        } catch (const Error& e) {
          return e.what();
        }
      }));
    }
    for (auto& opener : openers) CHECK(opener.get() == "");
  }
}

TEST_CASE("Journal says what is wrong with a file") {
  const TemporaryFolder folder;
  const std::string path = (folder / "search.sqlite").string();

  SUBCASE("a text file") {
    write_file_atomically(path, std::string(4096, 'x'));
    CHECK(message_of<DataError>([&] {
            Journal journal(path);
          }).find(path + ": file is not a database") == 0);
  }
  SUBCASE("another program's database") {
    SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE t(a)");
    CHECK(message_of<DataError>([&] { Journal journal(path); }) ==
          path + ": application id = 0, expected a search journal of lathe (1819568229)");
  }
  SUBCASE("a newer format") {
    { Journal journal(path); }
    SQLite::Database(path, SQLite::OPEN_READWRITE).exec("PRAGMA user_version=3");
    CHECK(message_of<DataError>([&] { Journal journal(path); }) ==
          path +
              ": journal format = 3, expected at most 2: continue this search with a newer lathe");
  }
  SUBCASE("a folder that does not exist") {
    const std::string nowhere = (folder / "no" / "search.sqlite").string();
    CHECK(message_of<DataError>([&] {
            Journal journal(nowhere);
          }).find(nowhere + ": unable to open database file") == 0);
  }
  SUBCASE("a missing proposal") {
    Journal journal(path);
    journal.add(proposal(0));
    journal.add(proposal(2));
    CHECK(message_of<DataError>([&] { journal.proposals(); }) == path + ": proposal 1 is missing");
  }
  SUBCASE("a garbled row") {
    {
      Journal journal(path);
      journal.add(proposal(0));
    }
    SQLite::Database(path, SQLite::OPEN_READWRITE).exec("UPDATE proposal SET computation = 'zz'");
    Journal journal(path);
    CHECK(message_of<DataError>([&] { journal.proposals(); }).find(path + ": proposal 0: ") == 0);
  }
  SUBCASE("damaged pages") {
    {
      Journal journal(path);
      for (int64_t i = 0; i < 300; ++i) journal.add(proposal(i));
    }
    std::string bytes = read_file(path);
    REQUIRE(bytes.size() > 40000);
    for (size_t i = 8192; i < 40000; ++i) bytes[i] = static_cast<char>(i * 7);
    write_file_atomically(path, bytes);
    const std::string message = message_of<DataError>([&] { Journal(path).proposals(); });
    CHECK(message.find(path + ": ") == 0);
    const bool says_so = message.find("damaged") != std::string::npos ||
                         message.find("malformed") != std::string::npos;
    CHECK(says_so);
  }
}

TEST_CASE("Journal counts its commits for fault injection") {
  Journal journal(":memory:");
  std::vector<int64_t> commits;
  journal.set_commit_hook([&](int64_t commit) { commits.push_back(commit); });
  journal.add(proposal(0));
  {
    Journal::Transaction transaction(journal);
    journal.add(proposal(1));
    journal.set_note("a", "b");
    transaction.commit();
  }
  CHECK(commits == std::vector<int64_t>{1, 2});
}

}  // namespace
}  // namespace lathe::search
