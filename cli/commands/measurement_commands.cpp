#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "cli/commands/commands.h"
#include "cli/text_table.h"
#include "core/error.h"
#include "core/file.h"
#include "latency/store/measurement_store.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

/// Opens a store that exists; looking makes none.
latency::MeasurementStore open_store(const fs::path& given) {
  const fs::path file = fs::is_directory(given) ? given / "measurements.sqlite" : given;
  if (!fs::exists(file)) {
    throw DataError(file.string() +
                    ": no such file: expected the folder of a run (lathe run CONFIG) or its "
                    "measurements.sqlite");
  }
  return latency::MeasurementStore(file);
}

std::string name_of(const latency::MeasurementGroup& group) {
  return group.device.empty() ? "-" : group.device;
}

}  // namespace

void measurements_command(const MeasurementsArguments& arguments) {
  auto store = open_store(arguments.store);
  TextTable table({"device", "fingerprint", "engine", "precision", "threads", "mode",
                   "measurements", "networks", "clean", "from", "to"});
  for (const latency::MeasurementGroup& group : store.groups()) {
    table.add({name_of(group), group.device_fingerprint, group.engine + " " + group.engine_version,
               group.precision, std::to_string(group.threads),
               group.sustained ? "sustained" : "burst", std::to_string(group.measurements),
               std::to_string(group.networks), std::to_string(group.clean),
               group.first_at.substr(0, 16), group.last_at.substr(0, 16)});
  }
  std::printf("%s", table.text().c_str());
}

void export_measurements_command(const MeasurementsArguments& arguments) {
  auto store = open_store(arguments.store);
  std::ostringstream csv;
  const int64_t rows = store.export_csv(csv, {arguments.device, arguments.network});
  if (rows == 0) {
    throw DataError(arguments.store.string() + ": no measurement" +
                    (arguments.device.empty() ? "" : " of device " + arguments.device) +
                    (arguments.network.empty() ? "" : " of network " + arguments.network) +
                    ", expected at least one: `lathe measurements " + arguments.store.string() +
                    "` lists what is there");
  }
  if (arguments.output.empty()) {
    std::cout << csv.str() << std::flush;
    if (!std::cout) throw DataError("standard output: cannot be written");
    return;
  }
  write_file_atomically(arguments.output, csv.str());
  std::fprintf(stderr, "%s: %lld measurements\n", arguments.output.c_str(),
               static_cast<long long>(rows));
}

}  // namespace lathe::cli
