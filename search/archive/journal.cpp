#include "search/archive/journal.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

namespace lathe::search {
namespace {

constexpr int kApplicationId = 0x6c746865;  // "lthe", in the file's header
constexpr std::chrono::milliseconds kBusyTimeout(5000);

constexpr const char* kTables = R"(
CREATE TABLE identity(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE note(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE proposal(idx INTEGER PRIMARY KEY, architecture TEXT NOT NULL,
                      computation TEXT NOT NULL, structure TEXT NOT NULL, counted TEXT NOT NULL);
CREATE TABLE accuracy(idx INTEGER PRIMARY KEY, top1 REAL, standard_error REAL, images INTEGER,
                      failure TEXT, message TEXT);
CREATE TABLE measurement(idx INTEGER, device TEXT NOT NULL, estimate TEXT, failure TEXT, message TEXT,
                         PRIMARY KEY(idx, device)) WITHOUT ROWID;
CREATE TABLE generation(idx INTEGER PRIMARY KEY, evaluations INTEGER NOT NULL, hypervolume REAL NOT NULL,
                        front_size INTEGER NOT NULL, best_accuracy REAL NOT NULL, seconds REAL NOT NULL);
CREATE TABLE strategy_state(id INTEGER PRIMARY KEY CHECK(id = 0), asked INTEGER NOT NULL,
                            told INTEGER NOT NULL, text TEXT NOT NULL);
)";

/// What format 2 adds: partial results of candidates that race.
constexpr const char* kTablesOf2 = R"(
ALTER TABLE proposal ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE TABLE partial_accuracy(idx INTEGER PRIMARY KEY, parts INTEGER NOT NULL, correct INTEGER NOT NULL,
                              images INTEGER NOT NULL);
CREATE TABLE coarse_measurement(idx INTEGER, device TEXT NOT NULL, estimate TEXT NOT NULL,
                                PRIMARY KEY(idx, device)) WITHOUT ROWID;
)";

/// A search of format 1 evaluated everything at once.
constexpr const char* kIdentityOf2 =
    "INSERT INTO identity SELECT '/search/racing', 'false' WHERE EXISTS(SELECT 1 FROM identity)";

std::string counted_to_json(const Metrics& counted) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [metric, value] : counted) json[to_string(metric)] = value.value;
  return json.dump();
}

/// \throws Error for anything that counted_to_json does not write.
Metrics counted_from_json(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw DataError("counted = " + text + ", expected an object");
  Metrics counted;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_number()) throw DataError("counted = " + text + ", expected numbers");
    const double number = value.get<double>();
    counted[parse_metric(name)] = {number, number, number};
  }
  return counted;
}

}  // namespace

struct Journal::State {
  std::string path;
  std::unique_ptr<SQLite::Database> database;
  std::map<std::string, std::unique_ptr<SQLite::Statement>> statements;
  std::function<void(int64_t)> hook;
  int64_t commits = 0;
  bool in_transaction = false;

  /// Runs `body`, turning SQLite's errors into DataError with the path.
  template <typename Body>
  auto guarded(Body body) {
    try {
      return body();
    } catch (const SQLite::Exception& e) {
      std::string reason = e.getErrorStr();
      if (const std::string what = e.what(); what != reason) reason += ": " + what;
      if (e.getErrorCode() == SQLITE_IOERR) reason += "; is the disk full?";
      throw DataError(path + ": " + reason);
    }
  }

  SQLite::Statement& prepared(const std::string& sql) {
    auto& statement = statements[sql];
    if (!statement) statement = std::make_unique<SQLite::Statement>(*database, sql);
    statement->reset();
    statement->clearBindings();
    return *statement;
  }

  template <typename... Values>
  void write(const std::string& sql, Values&&... values) {
    guarded([&] {
      SQLite::Statement& statement = prepared(sql);
      int position = 0;
      (statement.bind(++position, std::forward<Values>(values)), ...);
      statement.exec();
      statement.reset();
    });
    if (!in_transaction) committed();
  }

  void committed() {
    ++commits;
    if (hook) hook(commits);
  }

  template <typename Row>
  void read(const std::string& sql, Row row) {
    guarded([&] {
      SQLite::Statement statement(*database, sql);
      while (statement.executeStep()) row(statement);
    });
  }

  [[noreturn]] void bad_row(const std::string& what) const { throw DataError(path + ": " + what); }

  latency::LatencyEstimate estimate(int64_t index, const std::string& device,
                                    const std::string& text) const {
    try {
      return latency::latency_estimate_from_json(text);
    } catch (const DataError& e) {
      bad_row("measurement " + std::to_string(index) + " on " + device + ": " + e.what());
    }
  }

  void open();
  void use_write_ahead_log();
  void check_format();
};

void Journal::State::open() {
  guarded([&] {
    database = std::make_unique<SQLite::Database>(
        path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, static_cast<int>(kBusyTimeout.count()));
    check_format();
    use_write_ahead_log();
    database->exec("PRAGMA synchronous=FULL");
    database->exec("PRAGMA foreign_keys=ON");
  });
}

void Journal::State::use_write_ahead_log() {
  // SQLite does not wait here when another process is switching the same file.
  const auto deadline = std::chrono::steady_clock::now() + kBusyTimeout;
  while (database->tryExec("PRAGMA journal_mode=WAL") == SQLITE_BUSY &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  database->exec("PRAGMA journal_mode=WAL");  // a no-op by now, or the error to report
}

void Journal::State::check_format() {
  // Of several processes that open a new journal, one makes it; the others wait and find it made.
  SQLite::Transaction transaction(*database, SQLite::TransactionBehavior::IMMEDIATE);
  const int application = database->execAndGet("PRAGMA application_id").getInt();
  const int tables = database->execAndGet("SELECT count(*) FROM sqlite_master").getInt();
  if (application == 0 && tables == 0) {
    database->exec(kTables);
    database->exec(kTablesOf2);
    database->exec("PRAGMA application_id=" + std::to_string(kApplicationId));
    database->exec("PRAGMA user_version=" + std::to_string(kSchema));
    transaction.commit();
    return;
  }
  if (application != kApplicationId) {
    bad_row("application id = " + std::to_string(application) +
            ", expected a search journal of lathe (" + std::to_string(kApplicationId) + ")");
  }
  const int version = database->execAndGet("PRAGMA user_version").getInt();
  if (version > kSchema || version < 1) {
    bad_row("journal format = " + std::to_string(version) + ", expected at most " +
            std::to_string(kSchema) + ": continue this search with a newer lathe");
  }
  const std::string state = database->execAndGet("PRAGMA quick_check(1)").getString();
  if (state != "ok") bad_row("the file is damaged: " + state);
  if (version == kSchema) return;
  database->exec(kTablesOf2);
  database->exec(kIdentityOf2);
  database->exec("PRAGMA user_version=" + std::to_string(kSchema));
  transaction.commit();
}

Journal::Journal(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->path = path.string();
  state_->open();
}
Journal::~Journal() = default;
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;

void Journal::bind(const std::map<std::string, std::string>& identity) {
  std::map<std::string, std::string> stored;
  state_->read("SELECT key, value FROM identity", [&](SQLite::Statement& row) {
    stored[row.getColumn(0).getString()] = row.getColumn(1).getString();
  });
  if (stored.empty()) {
    Transaction transaction(*this);
    for (const auto& [key, value] : identity) {
      state_->write("INSERT INTO identity VALUES(?, ?)", key, value);
    }
    transaction.commit();
    return;
  }
  std::string lines;
  const auto differs = [&](const std::string& key, const std::string& now,
                           const std::string& then) {
    if (!lines.empty()) lines += "\n";
    lines += state_->path + ": " + key + " = " + now + ", expected " + then +
             " as when this search was started";
  };
  for (const auto& [key, value] : identity) {
    const auto it = stored.find(key);
    if (it == stored.end()) {
      differs(key, value, "nothing");
    } else if (it->second != value) {
      differs(key, value, it->second);
    }
  }
  for (const auto& [key, value] : stored) {
    if (identity.count(key) == 0) differs(key, "nothing", value);
  }
  if (!lines.empty()) throw ConfigError(lines);
}

std::vector<Journal::Proposal> Journal::proposals() {
  std::vector<Proposal> all;
  state_->read(
      "SELECT idx, architecture, computation, structure, counted, told FROM proposal ORDER BY idx",
      [&](SQLite::Statement& row) {
        Proposal proposal;
        proposal.index = row.getColumn(0).getInt64();
        if (proposal.index != static_cast<int64_t>(all.size())) {
          state_->bad_row("proposal " + std::to_string(all.size()) + " is missing");
        }
        try {
          proposal.architecture = Architecture::parse(row.getColumn(1).getString());
          proposal.computation = network::Digest::from_hex(row.getColumn(2).getString());
          proposal.structure = network::Digest::from_hex(row.getColumn(3).getString());
          proposal.counted = counted_from_json(row.getColumn(4).getString());
          proposal.told = row.getColumn(5).getInt64();
        } catch (const Error& e) {
          state_->bad_row("proposal " + std::to_string(proposal.index) + ": " + e.what());
        }
        all.push_back(std::move(proposal));
      });
  return all;
}

std::vector<Journal::Accuracy> Journal::accuracies() {
  std::vector<Accuracy> all;
  state_->read(
      "SELECT idx, top1, standard_error, images, failure, message FROM accuracy ORDER BY idx",
      [&](SQLite::Statement& row) {
        const int64_t index = row.getColumn(0).getInt64();
        if (!row.getColumn(4).isNull()) {
          all.push_back({index, Failure{failure_kind_from_string(row.getColumn(4).getString()),
                                        row.getColumn(5).getString()}});
          return;
        }
        all.push_back(
            {index, AccuracyEstimate{row.getColumn(1).getDouble(), row.getColumn(2).getDouble(),
                                     row.getColumn(3).getInt64()}});
      });
  return all;
}

std::vector<Journal::Measurement> Journal::measurements() {
  std::vector<Measurement> all;
  state_->read(
      "SELECT idx, device, estimate, failure, message FROM measurement ORDER BY idx, device",
      [&](SQLite::Statement& row) {
        const int64_t index = row.getColumn(0).getInt64();
        const std::string device = row.getColumn(1).getString();
        if (!row.getColumn(3).isNull()) {
          all.push_back({index, device,
                         Failure{failure_kind_from_string(row.getColumn(3).getString()),
                                 row.getColumn(4).getString()}});
          return;
        }
        all.push_back(
            {index, device, state_->estimate(index, device, row.getColumn(2).getString())});
      });
  return all;
}

std::vector<Journal::PartialAccuracy> Journal::partial_accuracies() {
  std::vector<PartialAccuracy> all;
  state_->read("SELECT idx, parts, correct, images FROM partial_accuracy ORDER BY idx",
               [&](SQLite::Statement& row) {
                 all.push_back({row.getColumn(0).getInt64(), row.getColumn(1).getInt64(),
                                row.getColumn(2).getInt64(), row.getColumn(3).getInt64()});
               });
  return all;
}

std::vector<Journal::CoarseMeasurement> Journal::coarse_measurements() {
  std::vector<CoarseMeasurement> all;
  state_->read("SELECT idx, device, estimate FROM coarse_measurement ORDER BY idx, device",
               [&](SQLite::Statement& row) {
                 const int64_t index = row.getColumn(0).getInt64();
                 const std::string device = row.getColumn(1).getString();
                 all.push_back({index, device,
                                state_->estimate(index, device, row.getColumn(2).getString())});
               });
  return all;
}

std::vector<GenerationRecord> Journal::generations() {
  std::vector<GenerationRecord> all;
  state_->read(
      "SELECT idx, evaluations, hypervolume, front_size, best_accuracy, seconds FROM generation "
      "ORDER BY idx",
      [&](SQLite::Statement& row) {
        all.push_back({row.getColumn(0).getInt64(), row.getColumn(1).getInt64(),
                       row.getColumn(2).getDouble(), row.getColumn(3).getInt64(),
                       row.getColumn(4).getDouble(), row.getColumn(5).getDouble()});
      });
  return all;
}

std::optional<Journal::StrategyState> Journal::strategy_state() {
  std::optional<StrategyState> state;
  state_->read("SELECT asked, told, text FROM strategy_state", [&](SQLite::Statement& row) {
    state = StrategyState{row.getColumn(0).getInt64(), row.getColumn(1).getInt64(),
                          row.getColumn(2).getString()};
  });
  return state;
}

std::optional<std::string> Journal::note(const std::string& key) {
  return state_->guarded([&]() -> std::optional<std::string> {
    SQLite::Statement query(*state_->database, "SELECT value FROM note WHERE key = ?");
    query.bind(1, key);
    if (!query.executeStep()) return std::nullopt;
    return query.getColumn(0).getString();
  });
}

Journal::Transaction::Transaction(Journal& journal) : journal_(journal) {
  if (journal_.state_->in_transaction) {
    throw InvariantError("Journal::Transaction: a transaction is open, expected none");
  }
  journal_.state_->guarded([&] { journal_.state_->database->exec("BEGIN IMMEDIATE"); });
  journal_.state_->in_transaction = true;
}

Journal::Transaction::~Transaction() {
  if (!open_) return;
  journal_.state_->in_transaction = false;
  // SQLite may have rolled back by itself (disk full); then this has nothing left to do.
  journal_.state_->database->tryExec("ROLLBACK");
}

void Journal::Transaction::commit() {
  if (!open_) throw InvariantError("Journal::Transaction::commit: called twice, expected once");
  journal_.state_->guarded([&] { journal_.state_->database->exec("COMMIT"); });
  open_ = false;
  journal_.state_->in_transaction = false;
  journal_.state_->committed();
}

void Journal::add(const Proposal& p) {
  state_->write("INSERT INTO proposal VALUES(?, ?, ?, ?, ?, ?)", p.index,
                p.architecture.to_string(), p.computation.hex(), p.structure.hex(),
                counted_to_json(p.counted), p.told);
}

void Journal::add(const Accuracy& a) {
  if (!a.result) {
    const Failure& failure = a.result.failure();
    state_->write("INSERT INTO accuracy(idx, failure, message) VALUES(?, ?, ?)", a.index,
                  to_string(failure.kind), failure.message);
    return;
  }
  state_->write("INSERT INTO accuracy(idx, top1, standard_error, images) VALUES(?, ?, ?, ?)",
                a.index, a.result->top1, a.result->standard_error, a.result->images);
}

void Journal::add(const Measurement& m) {
  if (!m.result) {
    const Failure& failure = m.result.failure();
    state_->write("INSERT INTO measurement(idx, device, failure, message) VALUES(?, ?, ?, ?)",
                  m.index, m.device, to_string(failure.kind), failure.message);
    return;
  }
  state_->write("INSERT INTO measurement(idx, device, estimate) VALUES(?, ?, ?)", m.index, m.device,
                latency::to_json(*m.result));
}

void Journal::add(const PartialAccuracy& a) {
  state_->write("INSERT OR REPLACE INTO partial_accuracy VALUES(?, ?, ?, ?)", a.index, a.parts,
                a.correct, a.images);
}

void Journal::add(const CoarseMeasurement& m) {
  state_->write("INSERT INTO coarse_measurement VALUES(?, ?, ?)", m.index, m.device,
                latency::to_json(m.estimate));
}

void Journal::add(const GenerationRecord& g) {
  state_->write("INSERT OR REPLACE INTO generation VALUES(?, ?, ?, ?, ?, ?)", g.index,
                g.evaluations, g.hypervolume, g.front_size, g.best_accuracy, g.seconds);
}

void Journal::forget_failures(int64_t first_index) {
  for (const std::string table : {"accuracy", "measurement"}) {
    bool any = false;
    const std::string failed = " FROM " + table + " WHERE failure IS NOT NULL AND idx >= ";
    state_->read("SELECT 1" + failed + std::to_string(first_index) + " LIMIT 1",
                 [&any](SQLite::Statement&) { any = true; });
    if (any) state_->write("DELETE" + failed + "?", first_index);
  }
}

void Journal::set_strategy_state(const StrategyState& s) {
  state_->write("INSERT OR REPLACE INTO strategy_state VALUES(0, ?, ?, ?)", s.asked, s.told,
                s.text);
}

void Journal::set_note(const std::string& key, const std::string& value) {
  state_->write("INSERT OR REPLACE INTO note VALUES(?, ?)", key, value);
}

void Journal::set_commit_hook(std::function<void(int64_t)> hook) { state_->hook = std::move(hook); }

}  // namespace lathe::search
