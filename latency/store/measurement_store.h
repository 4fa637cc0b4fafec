#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "latency/measurement/latency_estimate.h"
#include "network/digest.h"

namespace lathe::latency {

/// What makes two measurements the same question.
struct MeasurementKey {
  network::Digest structure;
  std::string engine, engine_version;
  Precision precision = Precision::Fp32;
  int threads = 1;
  std::string device_fingerprint;
  bool sustained = false;  ///< MeasurementPlan::sustain_s
  bool energy = false;     ///< only an estimate with energy answers
  double target_half_width =
      0.01;  ///< a stored estimate serves requests at its precision or coarser
};

/// Which measurements are meant; empty texts: all.
struct MeasurementFilter {
  std::string device;   ///< a device's name, or how its fingerprint begins
  std::string network;  ///< how the structure's digest begins
};

/// The measurements of one device with one engine, in one way.
struct MeasurementGroup {
  std::string device;  ///< name of the device class that measured; empty: unknown
  std::string device_fingerprint, engine, engine_version, precision;
  int threads = 1;
  bool sustained = false;  ///< of a hot board
  int64_t measurements = 0;
  int64_t networks = 0;           ///< different structures
  int64_t clean = 0;              ///< measurements with that verdict
  std::string first_at, last_at;  ///< UTC, ISO 8601
};

/// Every measurement ever made, in SQLite (WAL), reused across runs. Safe for several processes;
/// one object is thread-safe.
class MeasurementStore {
 public:
  /// \throws DataError naming the path if it cannot be opened or is of a newer format.
  explicit MeasurementStore(const std::filesystem::path& path);
  ~MeasurementStore();

  /// Returns the best stored answer to `key`: clean before unsteady, then the most precise, then
  /// the newest. Those from before the board changed (see reference_time), disturbed, throttled and
  /// emulated measurements are kept for the record but never returned.
  std::optional<LatencyEstimate> find(const MeasurementKey& key);
  /// Durable when it returns. \throws DataError (disk full) with nothing half written.
  void add(const MeasurementKey& key, const LatencyEstimate& estimate);
  /// In which time of the reference network latencies of the key's board, engine and threads are
  /// told. Every start of an agent calibrates that time anew, and some per cent apart; whoever
  /// tells all latencies in the first one can compare them across starts. Returns the time that is
  /// kept: `measured_ms` of the first call, until one is further from it than a calibration can be,
  /// which means that the board itself has changed.
  struct ReferenceTime {
    double kept_ms = 0.0;
    bool board_changed = false;  ///< by this call; `measured_ms` is kept from now on
  };
  ReferenceTime reference_time(const MeasurementKey& key, double measured_ms);
  int64_t size();
  /// Returns the groups in order of device and engine.
  std::vector<MeasurementGroup> groups();
  /// Writes the rows, oldest first, as CSV with a header: fields quoted as in RFC 4180, lines ended
  /// by LF, unknown values empty. Returns how many. \throws DataError if `out` fails.
  int64_t export_csv(std::ostream& out, const MeasurementFilter& filter = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::latency
