#include "latency/store/measurement_store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <cmath>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/text.h"

namespace lathe::latency {
namespace {

constexpr int kFormat = 2;
/// Two calibrations of one board differ by less, in logarithms.
constexpr double kBoardChanged = 0.1;
constexpr int kBusyTimeoutMs = 30000;

constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS measurements (
  id                 INTEGER PRIMARY KEY,
  structure          TEXT NOT NULL,
  engine             TEXT NOT NULL,
  engine_version     TEXT NOT NULL,
  precision          TEXT NOT NULL,
  threads            INTEGER NOT NULL,
  device_fingerprint TEXT NOT NULL,
  sustained          INTEGER NOT NULL,
  target_half_width  REAL NOT NULL,
  verdict            TEXT NOT NULL,
  median_ms          REAL NOT NULL,
  estimate           TEXT NOT NULL,
  created_at         TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX IF NOT EXISTS measurements_by_key ON measurements
  (structure, engine, engine_version, precision, threads, device_fingerprint, sustained,
   target_half_width);
CREATE TABLE IF NOT EXISTS reference_times (
  engine             TEXT NOT NULL,
  engine_version     TEXT NOT NULL,
  threads            INTEGER NOT NULL,
  device_fingerprint TEXT NOT NULL,
  reference_ms       REAL NOT NULL,
  PRIMARY KEY (engine, engine_version, threads, device_fingerprint)
);
)";

constexpr char kFind[] = R"(
SELECT estimate FROM measurements
WHERE structure = ? AND engine = ? AND engine_version = ? AND precision = ? AND threads = ?
  AND device_fingerprint = ? AND sustained = ? AND target_half_width <= ? AND verdict IN ('clean', 'unsteady')
  AND (? = 0 OR json_extract(estimate, '$.energy') IS NOT NULL)
  AND NOT EXISTS (
    SELECT 1 FROM reference_times AS kept
    WHERE kept.engine = measurements.engine AND kept.engine_version = measurements.engine_version
      AND kept.threads = measurements.threads AND kept.device_fingerprint = measurements.device_fingerprint
      AND abs(json_extract(estimate, '$.reference_ms') / kept.reference_ms - 1) > 1e-6)
ORDER BY verdict = 'clean' DESC, target_half_width, id DESC LIMIT 1
)";

constexpr char kAdd[] = R"(
INSERT INTO measurements (structure, engine, engine_version, precision, threads, device_fingerprint,
                          sustained, target_half_width, verdict, median_ms, estimate)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
)";

constexpr char kFindReference[] = R"(
SELECT reference_ms FROM reference_times
WHERE engine = ? AND engine_version = ? AND threads = ? AND device_fingerprint = ?
)";

constexpr char kKeepReference[] = R"(
INSERT OR REPLACE INTO reference_times (engine, engine_version, threads, device_fingerprint, reference_ms)
VALUES (?, ?, ?, ?, ?)
)";

constexpr char kExport[] = R"(
SELECT *, COALESCE(json_extract(estimate, '$.conditions.extra.device'), '') AS device FROM measurements
WHERE (?1 = '' OR device = ?1 OR substr(device_fingerprint, 1, length(?1)) = ?1)
  AND (?2 = '' OR substr(structure, 1, length(?2)) = ?2)
ORDER BY id
)";

constexpr char kGroups[] = R"(
SELECT COALESCE(json_extract(estimate, '$.conditions.extra.device'), '') AS device,
       device_fingerprint, engine, engine_version, precision, threads, sustained,
       COUNT(*) AS measurements, COUNT(DISTINCT structure) AS networks,
       SUM(verdict = 'clean') AS clean, MIN(created_at) AS first_at, MAX(created_at) AS last_at
FROM measurements
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
)";

void bind_key(SQLite::Statement& statement, const MeasurementKey& key, double target_half_width) {
  statement.bind(1, key.structure.hex());
  statement.bind(2, key.engine);
  statement.bind(3, key.engine_version);
  statement.bind(4, to_string(key.precision));
  statement.bind(5, key.threads);
  statement.bind(6, key.device_fingerprint);
  statement.bind(7, key.sustained ? 1 : 0);
  statement.bind(8, target_half_width);
}

void bind_board(SQLite::Statement& statement, const MeasurementKey& key) {
  statement.bind(1, key.engine);
  statement.bind(2, key.engine_version);
  statement.bind(3, key.threads);
  statement.bind(4, key.device_fingerprint);
}

/// Returns `text` as one CSV field (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// An empty field for a value that stands for "unknown".
std::string csv_number_or_unknown(double value, double unknown) {
  return value == unknown ? "" : csv_number(value);
}

constexpr char kCsvHeader[] =
    "created_at,structure,device,device_fingerprint,engine,engine_version,isa,precision,threads,"
    "target_half_width,median_ms,low_ms,high_ms,level,p90_ms,p99_ms,kept,rejected,processes,wall_s,"
    "peak_memory_bytes,energy_mj,energy_low_mj,energy_high_mj,power_w,verdict,governor,frequency_"
    "hz,temperature_c,extra";

std::vector<std::string> csv_row(SQLite::Statement& row) {
  const LatencyEstimate estimate =
      latency_estimate_from_json(row.getColumn("estimate").getString());
  const Conditions& conditions = estimate.conditions;
  const std::string extra = join(
      conditions.extra, " ", [](const auto& entry) { return entry.first + "=" + entry.second; });
  const auto text = [&row](const char* column) { return row.getColumn(column).getString(); };
  const auto energy = [&estimate](double EnergyEstimate::*field) {
    return estimate.energy ? csv_number((*estimate.energy).*field) : "";
  };
  return {text("created_at"),
          text("structure"),
          text("device"),
          text("device_fingerprint"),
          text("engine"),
          text("engine_version"),
          conditions.isa,
          text("precision"),
          text("threads"),
          csv_number(row.getColumn("target_half_width").getDouble()),
          csv_number(estimate.median_ms),
          csv_number(estimate.interval_ms.low),
          csv_number(estimate.interval_ms.high),
          csv_number(estimate.interval_ms.level),
          csv_number(estimate.p90_ms),
          csv_number(estimate.p99_ms),
          std::to_string(estimate.kept),
          std::to_string(estimate.rejected),
          std::to_string(estimate.processes),
          csv_number(estimate.wall_s),
          csv_number_or_unknown(static_cast<double>(estimate.peak_memory_bytes), 0.0),
          energy(&EnergyEstimate::mean_mj),
          estimate.energy ? csv_number(estimate.energy->interval_mj.low) : "",
          estimate.energy ? csv_number(estimate.energy->interval_mj.high) : "",
          energy(&EnergyEstimate::power_w),
          to_string(estimate.verdict),
          conditions.governor,
          csv_number_or_unknown(conditions.frequency_hz, 0.0),
          csv_number_or_unknown(conditions.temperature_c, -1.0),
          extra};
}

}  // namespace

struct MeasurementStore::State {
  explicit State(const std::filesystem::path& file)
      : path(file.string()),
        database(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyTimeoutMs) {}

  std::string path;
  std::mutex mutex;
  SQLite::Database database;

  /// Runs `operation` under the lock and translates SQLite's errors.
  template <typename Operation>
  auto guarded(const char* what, Operation operation) {
    const std::lock_guard<std::mutex> lock(mutex);
    try {
      return operation();
    } catch (const SQLite::Exception& error) {
      const bool io = error.getErrorCode() == SQLITE_IOERR;
      throw DataError(path + ": cannot " + what + ": " + error.what() +
                      (io ? "; is the disk full?" : ""));
    }
  }

  /// The switch needs the file alone, and SQLite does not wait for that by itself when several
  /// processes open a new store at once.
  void switch_to_wal() {
    const double deadline_s = steady_clock().now_s() + kBusyTimeoutMs * 1e-3;
    while (true) {
      try {
        database.execAndGet("PRAGMA journal_mode = WAL");
        return;
      } catch (const SQLite::Exception& error) {
        if (error.getErrorCode() != SQLITE_BUSY || steady_clock().now_s() > deadline_s) throw;
        steady_clock().sleep_s(0.005);
      }
    }
  }

  void open() {
    const int format = database.execAndGet("PRAGMA user_version").getInt();
    if (format > kFormat) {
      throw DataError(path + ": format = " + std::to_string(format) + ", expected at most " +
                      std::to_string(kFormat) + " (it was written by a newer lathe)");
    }
    switch_to_wal();
    database.exec("PRAGMA synchronous = FULL");
    if (format == kFormat) return;
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    database.exec(kSchema);
    database.exec("PRAGMA user_version = " + std::to_string(kFormat));
    transaction.commit();
  }
};

MeasurementStore::MeasurementStore(const std::filesystem::path& path) {
  try {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
    state_ = std::make_unique<State>(path);
    state_->open();
  } catch (const std::filesystem::filesystem_error& error) {
    throw DataError(path.string() +
                    ": cannot open the measurement store: " + error.code().message());
  } catch (const SQLite::Exception& error) {
    throw DataError(path.string() + ": cannot open the measurement store: " + error.what());
  }
}

MeasurementStore::~MeasurementStore() = default;

std::optional<LatencyEstimate> MeasurementStore::find(const MeasurementKey& key) {
  return state_->guarded("read a measurement", [&]() -> std::optional<LatencyEstimate> {
    SQLite::Statement statement(state_->database, kFind);
    bind_key(statement, key, key.target_half_width * (1.0 + 1e-9));
    statement.bind(9, key.energy ? 1 : 0);
    if (!statement.executeStep()) return std::nullopt;
    return latency_estimate_from_json(statement.getColumn(0).getString());
  });
}

void MeasurementStore::add(const MeasurementKey& key, const LatencyEstimate& estimate) {
  const std::string text = to_json(estimate);
  state_->guarded("add a measurement", [&] {
    SQLite::Statement statement(state_->database, kAdd);
    bind_key(statement, key, key.target_half_width);
    statement.bind(9, to_string(estimate.verdict));
    statement.bind(10, estimate.median_ms);
    statement.bind(11, text);
    statement.exec();
  });
}

MeasurementStore::ReferenceTime MeasurementStore::reference_time(const MeasurementKey& key,
                                                                 double measured_ms) {
  if (!(measured_ms > 0.0)) {
    throw InvariantError("MeasurementStore::reference_time: measured_ms = " +
                         std::to_string(measured_ms) + ", expected a positive time");
  }
  return state_->guarded("keep a calibration", [&]() -> ReferenceTime {
    // Of two processes that begin at once, the second gets what the first keeps.
    SQLite::Transaction transaction(state_->database, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement found(state_->database, kFindReference);
    bind_board(found, key);
    const bool known = found.executeStep();
    const double kept_ms = known ? found.getColumn(0).getDouble() : 0.0;
    if (known && std::abs(std::log(measured_ms / kept_ms)) <= kBoardChanged) {
      return {kept_ms, false};
    }
    SQLite::Statement keep(state_->database, kKeepReference);
    bind_board(keep, key);
    keep.bind(5, measured_ms);
    keep.exec();
    transaction.commit();
    return {measured_ms, known};
  });
}

int64_t MeasurementStore::size() {
  return state_->guarded("count the measurements", [&] {
    return state_->database.execAndGet("SELECT COUNT(*) FROM measurements").getInt64();
  });
}

std::vector<MeasurementGroup> MeasurementStore::groups() {
  return state_->guarded("list the measurements", [&] {
    std::vector<MeasurementGroup> groups;
    SQLite::Statement row(state_->database, kGroups);
    while (row.executeStep()) {
      const auto text = [&row](const char* column) { return row.getColumn(column).getString(); };
      const auto number = [&row](const char* column) { return row.getColumn(column).getInt64(); };
      groups.push_back({text("device"), text("device_fingerprint"), text("engine"),
                        text("engine_version"), text("precision"),
                        static_cast<int>(number("threads")), number("sustained") != 0,
                        number("measurements"), number("networks"), number("clean"),
                        text("first_at"), text("last_at")});
    }
    return groups;
  });
}

int64_t MeasurementStore::export_csv(std::ostream& out, const MeasurementFilter& filter) {
  const int64_t rows = state_->guarded("export the measurements", [&] {
    out << kCsvHeader << "\n";
    SQLite::Statement row(state_->database, kExport);
    row.bind(1, filter.device);
    row.bind(2, filter.network);
    int64_t count = 0;
    for (; row.executeStep(); ++count) {
      const char* separator = "";
      for (const std::string& field : csv_row(row)) {
        out << separator << csv_field(field);
        separator = ",";
      }
      out << "\n";
    }
    return count;
  });
  if (!out.flush()) {
    throw DataError(state_->path +
                    ": cannot export the measurements: the output cannot be written");
  }
  return rows;
}

}  // namespace lathe::latency
