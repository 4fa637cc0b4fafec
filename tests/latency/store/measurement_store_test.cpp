#include "latency/store/measurement_store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "core/error.h"
#include "tests/support/temporary_folder.h"

namespace lathe::latency {
namespace {

using lathe::test::TemporaryFolder;

MeasurementKey key_of(uint64_t structure, double target = 0.01) {
  MeasurementKey key;
  key.structure.words = {structure, 7};
  key.engine = "xnnpack";
  key.engine_version = "2022-02";
  key.device_fingerprint = "board-a";
  key.target_half_width = target;
  return key;
}

LatencyEstimate estimate_of(double median_ms, Verdict verdict = Verdict::Clean) {
  LatencyEstimate estimate;
  estimate.median_ms = median_ms;
  estimate.interval_ms = {median_ms * 0.99, median_ms * 1.01, 0.95};
  estimate.kept = 12;
  estimate.verdict = verdict;
  estimate.conditions.isa = "armv8.2, \"dotprod\"";
  estimate.conditions.extra = {{"reference_drift", "+0.0100"}};
  return estimate;
}

TEST_CASE("MeasurementStore finds what was added, also after opening it again") {
  const TemporaryFolder folder;
  const auto path = folder / "sub" / "measurements.sqlite";
  {
    MeasurementStore store(path);
    CHECK_FALSE(store.find(key_of(1)).has_value());
    store.add(key_of(1), estimate_of(12.5));
    CHECK(store.size() == 1);
  }
  MeasurementStore store(path);
  const auto found = store.find(key_of(1));
  REQUIRE(found.has_value());
  CHECK(to_json(*found) == to_json(estimate_of(12.5)));
  CHECK(store.size() == 1);
}

TEST_CASE("MeasurementStore keeps the first calibration of each board until the board changes") {
  const TemporaryFolder folder;
  const auto path = folder / "measurements.sqlite";
  {
    MeasurementStore store(path);
    CHECK(store.reference_time(key_of(1), 0.160).kept_ms == 0.160);
    CHECK(store.reference_time(key_of(2), 0.169).kept_ms == 0.160);  // whatever the network
    MeasurementKey other = key_of(1);
    other.threads = 4;
    CHECK(store.reference_time(other, 0.05).kept_ms == 0.05);
    other = key_of(1);
    other.device_fingerprint = "board-b";
    CHECK(store.reference_time(other, 0.3).kept_ms == 0.3);
    CHECK_THROWS_AS(store.reference_time(other, 0.0), InvariantError);
  }
  {
    SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
    database.exec("PRAGMA user_version = 1");
    database.exec("DROP TABLE reference_times");
  }
  // A store of format 1 begins to keep them.
  MeasurementStore store(path);
  CHECK(store.reference_time(key_of(1), 0.2).kept_ms == 0.2);
  CHECK_FALSE(store.reference_time(key_of(1), 0.185).board_changed);
  const auto changed = store.reference_time(key_of(1), 0.17);
  CHECK(changed.board_changed);
  CHECK(changed.kept_ms == 0.17);
  CHECK(MeasurementStore(path).reference_time(key_of(1), 0.18).kept_ms == 0.17);
}

TEST_CASE("MeasurementStore tells every part of the key apart") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  store.add(key_of(1), estimate_of(12.5));
  std::vector<MeasurementKey> others(8, key_of(1));
  others[0].structure.words[0] = 2;
  others[1].structure.words[1] = 8;
  others[2].engine = "onnxruntime";
  others[3].engine_version = "2024-11";
  others[4].precision = Precision::Int8;
  others[5].threads = 2;
  others[6].device_fingerprint = "board-b";
  others[7].sustained = true;
  for (size_t i = 0; i < others.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(store.find(others[i]).has_value());
  }
  CHECK(store.find(key_of(1)).has_value());
}

TEST_CASE(
    "MeasurementStore answers a request for energy with one that holds it, and any other with "
    "both") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  MeasurementKey with_energy = key_of(1);
  with_energy.energy = true;
  store.add(key_of(1, 0.005), estimate_of(10.0));
  CHECK_FALSE(store.find(with_energy).has_value());
  LatencyEstimate estimate = estimate_of(11.0);
  estimate.energy = EnergyEstimate{5.5, {5.4, 5.6, 0.95}, 0.5, "rapl package-0"};
  store.add(with_energy, estimate);
  REQUIRE(store.find(with_energy).has_value());
  CHECK(store.find(with_energy)->energy->mean_mj == 5.5);
  CHECK(store.find(key_of(1))->median_ms == 10.0);  // the more precise one
  std::ostringstream out;
  CHECK(store.export_csv(out) == 2);
  CHECK(out.str().find(",5.5,5.4,5.6,0.5,clean,") != std::string::npos);
  CHECK(out.str().find(",,,,,clean,") != std::string::npos);
}

TEST_CASE("MeasurementStore serves requests at the stored precision or coarser") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  store.add(key_of(1, 0.02), estimate_of(10.0));
  CHECK_FALSE(store.find(key_of(1, 0.01)).has_value());
  CHECK(store.find(key_of(1, 0.02)).has_value());
  CHECK(store.find(key_of(1, 0.05)).has_value());
  store.add(key_of(1, 0.005), estimate_of(11.0));
  store.add(key_of(1, 0.03), estimate_of(12.0));
  CHECK(store.find(key_of(1, 0.05))->median_ms == 11.0);  // the most precise
  store.add(key_of(1, 0.005), estimate_of(11.5));
  CHECK(store.find(key_of(1, 0.05))->median_ms == 11.5);  // the newest of equals
}

TEST_CASE("MeasurementStore keeps disturbed measurements but never serves them") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  for (Verdict verdict : {Verdict::Disturbed, Verdict::Throttled, Verdict::InvalidTiming}) {
    store.add(key_of(1), estimate_of(99.0, verdict));
    CHECK_FALSE(store.find(key_of(1)).has_value());
  }
  store.add(key_of(1), estimate_of(10.0));
  store.add(key_of(1), estimate_of(12.0, Verdict::Unsteady));
  CHECK(store.find(key_of(1))->median_ms == 10.0);
  CHECK(store.size() == 5);
}

TEST_CASE("MeasurementStore exports every row as CSV with quoting") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  store.add(key_of(1), estimate_of(12.5));
  store.add(key_of(2), estimate_of(13.25, Verdict::Throttled));
  std::ostringstream out;
  store.export_csv(out);
  std::istringstream lines(out.str());
  std::string header;
  std::string first;
  std::string second;
  std::string rest;
  std::getline(lines, header);
  std::getline(lines, first);
  std::getline(lines, second);
  CHECK_FALSE(std::getline(lines, rest));
  CHECK(header ==
        "created_at,structure,device,device_fingerprint,engine,engine_version,isa,precision,"
        "threads,target_half_width,median_ms,low_ms,high_ms,level,p90_ms,p99_ms,kept,rejected,"
        "processes,wall_s,peak_memory_bytes,energy_mj,energy_low_mj,energy_high_mj,power_w,verdict,"
        "governor,frequency_hz,temperature_c,extra");
  CHECK(first.find(",00000000000000010000000000000007,,board-a,xnnpack,2022-02,\"armv8.2, "
                   "\"\"dotprod\"\"\",fp32,1,0.01,"
                   "12.5,12.375,12.625,0.95,0,0,12,0,1,0,,,,,,clean,,,,reference_drift=+0.0100") ==
        24);
  CHECK(second.find(",throttled,") != std::string::npos);
}

TEST_CASE("MeasurementStore exports known conditions, quoted where a field holds CSV's own signs") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  LatencyEstimate estimate = estimate_of(8.0);
  estimate.conditions.isa = "armv8";
  estimate.conditions.frequency_hz = 1.8e9;
  estimate.conditions.temperature_c = 47.25;
  estimate.peak_memory_bytes = 28311552;
  estimate.conditions.extra = {{"device", "pi4"}, {"note", "two\nlines"}, {"other", "a \"b\""}};
  store.add(key_of(3), estimate);
  std::ostringstream out;
  CHECK(store.export_csv(out) == 1);
  const std::string text = out.str();
  const std::string expected =
      ",00000000000000030000000000000007,pi4,board-a,xnnpack,2022-02,armv8,fp32,1,0.01,8,7.92,8.08,"
      "0.95,0,0,12,0,1,0,28311552,,,,,clean,,1.8e+09,47.25,\"device=pi4 note=two\nlines "
      "other=a \"\"b\"\"\"\n";
  REQUIRE(text.size() > expected.size());
  CHECK(text.substr(text.size() - expected.size()) == expected);
}

TEST_CASE("MeasurementStore lists what it holds and exports the rows that are meant") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  const auto add = [&](uint64_t structure, const char* device, const char* fingerprint,
                       Verdict verdict) {
    MeasurementKey key = key_of(structure);
    key.device_fingerprint = fingerprint;
    LatencyEstimate estimate = estimate_of(1.0, verdict);
    if (*device != '\0') estimate.conditions.extra["device"] = device;
    store.add(key, estimate);
  };
  CHECK(store.groups().empty());
  add(0xa1, "pi4", "aaaa1111", Verdict::Clean);
  add(0xa1, "pi4", "aaaa1111", Verdict::Disturbed);
  add(0xa2, "pi4", "aaaa1111", Verdict::Clean);
  add(0xa2, "pi4", "bbbb2222", Verdict::Clean);
  add(0xa3, "", "cccc3333", Verdict::Throttled);  // written by an earlier lathe

  const std::vector<MeasurementGroup> groups = store.groups();
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].device.empty());
  CHECK(groups[0].device_fingerprint == "cccc3333");
  CHECK(groups[0].clean == 0);
  CHECK(groups[1].device == "pi4");
  CHECK(groups[1].device_fingerprint == "aaaa1111");
  CHECK(groups[1].engine == "xnnpack");
  CHECK(groups[1].engine_version == "2022-02");
  CHECK(groups[1].precision == "fp32");
  CHECK(groups[1].threads == 1);
  CHECK_FALSE(groups[1].sustained);
  CHECK(groups[1].measurements == 3);
  CHECK(groups[1].networks == 2);
  CHECK(groups[1].clean == 2);
  CHECK(groups[1].first_at.size() == 24);
  CHECK(groups[1].first_at <= groups[1].last_at);
  CHECK(groups[2].measurements == 1);

  MeasurementKey sustained = key_of(0xa2);
  sustained.device_fingerprint = "bbbb2222";
  sustained.sustained = true;
  LatencyEstimate hot = estimate_of(14.0);
  hot.conditions.extra["device"] = "pi4";
  store.add(sustained, hot);
  REQUIRE(store.groups().size() == 4);
  CHECK_FALSE(store.groups()[2].sustained);
  CHECK(store.groups()[3].sustained);  // its latency is another one

  const auto rows = [&](const char* device, const char* network) {
    std::ostringstream out;
    return store.export_csv(out, {device, network});
  };
  CHECK(rows("", "") == 6);
  CHECK(rows("pi4", "") == 5);
  CHECK(rows("bbbb", "") == 2);
  CHECK(rows("cccc3333", "") == 1);
  CHECK(rows("pi", "") == 0);  // a name is given whole
  CHECK(rows("", "00000000000000a2") == 3);
  CHECK(rows("aaaa", "00000000000000a2") == 1);
  CHECK(rows("%", "") == 0);
}

TEST_CASE("MeasurementStore refuses a newer format, a foreign file and an unwritable folder") {
  const TemporaryFolder folder;
  const auto newer = folder / "newer.sqlite";
  { MeasurementStore store(newer); }
  {
    SQLite::Database database(newer.string(), SQLite::OPEN_READWRITE);
    database.exec("PRAGMA user_version = 3");
  }
  const std::string newer_message =
      newer.string() + ": format = 3, expected at most 2 (it was written by a newer lathe)";
  CHECK_THROWS_WITH_AS(MeasurementStore{newer}, newer_message.c_str(), DataError);

  const auto foreign = folder / "foreign.sqlite";
  std::ofstream(foreign) << std::string(5000, 'x');
  const std::string foreign_message =
      foreign.string() + ": cannot open the measurement store: file is not a database";
  CHECK_THROWS_WITH_AS(MeasurementStore{foreign}, foreign_message.c_str(), DataError);

  const auto below_a_file = foreign / "m.sqlite";
  CHECK_THROWS_AS(MeasurementStore{below_a_file}, DataError);
}

/// Adds until killed; every acknowledged measurement is reported by one byte.
[[noreturn]] void add_for_ever(const std::filesystem::path& path, uint64_t writer, int report) {
  try {
    MeasurementStore store(path);
    for (uint64_t i = 0;; ++i) {
      store.add(key_of(1000 * (writer + 1) + i), estimate_of(1.0 + static_cast<double>(i)));
      const char byte = 'a';
      if (write(report, &byte, 1) != 1) _exit(3);
    }
  } catch (...) {
    _exit(2);
  }
}

TEST_CASE("MeasurementStore loses nothing acknowledged when its writers are killed") {
  const TemporaryFolder folder;
  const auto path = folder / "m.sqlite";
  constexpr uint64_t kWriters = 3;
  int64_t acknowledged = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<pid_t> writers;
    std::vector<int> reports;
    for (uint64_t writer = 0; writer < kWriters; ++writer) {
      int ends[2];
      REQUIRE(pipe(ends) == 0);
      const pid_t child = fork();
      REQUIRE(child >= 0);
      if (child == 0) add_for_ever(path, writer + static_cast<uint64_t>(round) * kWriters, ends[1]);
      close(ends[1]);
      writers.push_back(child);
      reports.push_back(ends[0]);
    }
    char byte = 0;
    for (int report : reports) {  // all of them are in the middle of adding
      for (int i = 0; i < 10; ++i) REQUIRE(read(report, &byte, 1) == 1);
      acknowledged += 10;
    }
    for (pid_t writer : writers) {
      kill(writer, SIGKILL);
      int status = 0;
      waitpid(writer, &status, 0);
      CHECK(WIFSIGNALED(status));
    }
    for (int report : reports) {
      while (read(report, &byte, 1) == 1) ++acknowledged;
      close(report);
    }
  }
  MeasurementStore store(path);
  CHECK(store.size() >= acknowledged);
  CHECK(store.size() <=
        acknowledged + static_cast<int64_t>(3 * kWriters));  // durable but not yet reported
  std::ostringstream csv;
  store.export_csv(csv);  // every row is whole
  SQLite::Database database(path.string());
  CHECK(database.execAndGet("PRAGMA integrity_check").getString() == "ok");
}

TEST_CASE("MeasurementStore on a full disk throws and keeps what it has") {
  const TemporaryFolder folder;
  const auto path = folder / "m.sqlite";
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    MeasurementStore store(path);
    store.add(key_of(1), estimate_of(1.0));
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{200 * 1024, 200 * 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    for (uint64_t i = 2; i < 5000; ++i) {
      try {
        store.add(key_of(i), estimate_of(1.0));
      } catch (const DataError& error) {
        const bool named = std::string(error.what()).find("m.sqlite: cannot add a measurement: ") !=
                           std::string::npos;
        _exit(named && store.size() == static_cast<int64_t>(i) - 1 ? 0 : 1);
      }
    }
    _exit(2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  MeasurementStore store(path);
  CHECK(store.find(key_of(1)).has_value());
  store.add(key_of(9999), estimate_of(2.0));
}

TEST_CASE("MeasurementStore is shared by threads") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&store, thread] {
      for (uint64_t i = 0; i < 20; ++i) {
        store.add(key_of(thread * 100 + i), estimate_of(1.0));
        store.find(key_of(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(store.size() == 80);
}

}  // namespace
}  // namespace lathe::latency
