#include "supernet/distributed/launch.h"

#include <charconv>
#include <cstring>
#include <optional>

#include "core/error.h"

namespace lathe::supernet {
namespace {

constexpr int kMaximumProcesses = 65'536;
constexpr int kMaximumPort = 65'535;
constexpr int kUsualPort = 29'500;

/// Reads integers and texts, and says what is wrong with them.
class Reader {
 public:
  explicit Reader(const Environment& environment) : environment_(environment) {}

  std::optional<std::string> text(const char* name) const {
    const char* value = environment_(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  }

  bool has(const char* name) const { return text(name).has_value(); }

  int integer(const char* name, int low, int high) const {
    const std::optional<std::string> value = text(name);
    const std::string wanted =
        "an integer from " + std::to_string(low) + " to " + std::to_string(high);
    if (!value)
      throw ConfigError(std::string("environment: ") + name + " is not set, expected " + wanted);
    int number = 0;
    const char* end = value->data() + value->size();
    const auto [stop, error] = std::from_chars(value->data(), end, number);
    if (error != std::errc() || stop != end || number < low || number > high) {
      throw ConfigError(std::string("environment: ") + name + " = " + *value + ", expected " +
                        wanted);
    }
    return number;
  }

  int integer_or(const char* name, int low, int high, int otherwise) const {
    return has(name) ? integer(name, low, high) : otherwise;
  }

 private:
  const Environment& environment_;
};

/// The names of one launcher's variables.
struct Names {
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

Launch read_ranks(const Reader& reader, const Names& names) {
  Launch launch;
  launch.size = reader.integer(names.size, 1, kMaximumProcesses);
  launch.rank = reader.integer(names.rank, 0, launch.size - 1);
  launch.local_rank = reader.integer_or(names.local_rank, 0, launch.size - 1, launch.rank);
  launch.local_size = reader.integer_or(names.local_size, 1, launch.size, 1);
  launch.hosts_store = launch.rank == 0;
  return launch;
}

[[noreturn]] void refuse_without_address(const Launch& launch) {
  throw ConfigError(
      "environment: MASTER_ADDR is not set, expected the name or address of rank 0's "
      "machine for the " +
      std::to_string(launch.size) + " processes to meet at");
}

Launch of_torchrun(const Reader& reader) {
  Launch launch = read_ranks(reader, {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"});
  if (launch.size == 1) return launch;
  if (!reader.has("MASTER_ADDR")) refuse_without_address(launch);
  launch.address = *reader.text("MASTER_ADDR");
  launch.port = reader.integer("MASTER_PORT", 1, kMaximumPort);
  launch.hosts_store &= reader.text("TORCHELASTIC_USE_AGENT_STORE").value_or("") != "True";
  launch.attempt = reader.text("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return launch;
}

Launch of_mpirun(const Reader& reader) {
  Launch launch = read_ranks(reader, {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                      "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"});
  if (launch.size == 1) return launch;
  if (launch.local_size < launch.size && !reader.has("MASTER_ADDR")) refuse_without_address(launch);
  launch.address = reader.text("MASTER_ADDR").value_or("127.0.0.1");
  launch.port = reader.integer_or("MASTER_PORT", 1, kMaximumPort, kUsualPort);
  return launch;
}

/// Returns the first machine of Slurm's short form: "gpu[03-05,09],cpu1" begins with gpu03.
std::string first_machine(const std::string& list) {
  const size_t end = list.find_first_of("[,");
  if (end == std::string::npos || list[end] == ',') return list.substr(0, end);
  const size_t number_end = list.find_first_of("-,]", end);
  return list.substr(0, end) + list.substr(end + 1, number_end - end - 1);
}

Launch of_slurm(const Reader& reader) {
  Launch launch = read_ranks(reader, {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""});
  if (launch.size == 1) return launch;
  const std::optional<std::string> machines = reader.text("SLURM_STEP_NODELIST");
  if (!machines && !reader.has("MASTER_ADDR")) refuse_without_address(launch);
  launch.address = reader.text("MASTER_ADDR").value_or(first_machine(machines.value_or("")));
  // Two jobs on one machine are not to meet.
  const int job = reader.integer_or("SLURM_JOB_ID", 0, INT32_MAX, 0);
  launch.port = reader.integer_or("MASTER_PORT", 1, kMaximumPort, kUsualPort + job % 1000);
  return launch;
}

}  // namespace

Launch read_launch(const Environment& environment) {
  const Reader reader(environment);
  if (reader.has("RANK") || reader.has("WORLD_SIZE")) return of_torchrun(reader);
  if (reader.has("OMPI_COMM_WORLD_SIZE")) return of_mpirun(reader);
  if (reader.has("SLURM_STEP_NUM_TASKS")) return of_slurm(reader);
  return {};
}

}  // namespace lathe::supernet
