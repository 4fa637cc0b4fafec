#include "supernet/distributed/launch.h"

#include <doctest/doctest.h>

#include <map>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;
using Variables = std::map<std::string, std::string>;

namespace {

Launch read(const Variables& variables) {
  return read_launch([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("read_launch without a launcher says that the process is alone") {
  for (const Variables& variables : {Variables{}, Variables{{"RANK", "0"}, {"WORLD_SIZE", "1"}},
                                     Variables{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}}) {
    const Launch launch = read(variables);
    CHECK(launch.rank == 0);
    CHECK(launch.size == 1);
  }
}

TEST_CASE("read_launch reads torchrun's variables, and who has the store") {
  Variables variables = {{"RANK", "0"},
                         {"WORLD_SIZE", "4"},
                         {"LOCAL_RANK", "0"},
                         {"LOCAL_WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "gpu1"},
                         {"MASTER_PORT", "29400"},
                         {"TORCHELASTIC_RESTART_COUNT", "2"},
                         {"OMPI_COMM_WORLD_SIZE", "9"}};
  Launch launch = read(variables);
  CHECK(launch.size == 4);
  CHECK(launch.address == "gpu1");
  CHECK(launch.port == 29400);
  CHECK(launch.local_size == 2);
  CHECK(launch.attempt == "2");
  CHECK(launch.hosts_store);
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  CHECK_FALSE(read(variables).hosts_store);
  variables["RANK"] = "3";
  variables["LOCAL_RANK"] = "1";
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "False";
  launch = read(variables);
  CHECK(launch.rank == 3);
  CHECK(launch.local_rank == 1);
  CHECK_FALSE(launch.hosts_store);
}

TEST_CASE("read_launch reads Open MPI's variables") {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  Launch launch = read(variables);
  CHECK(launch.rank == 1);
  CHECK(launch.address == "127.0.0.1");
  CHECK(launch.port == 29500);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  variables["MASTER_ADDR"] = "node1";
  variables["MASTER_PORT"] = "4000";
  launch = read(variables);
  CHECK(launch.address == "node1");
  CHECK(launch.port == 4000);
}

TEST_CASE("read_launch reads Slurm's variables, the first machine and a port of the job") {
  const std::vector<std::pair<std::string, std::string>> lists = {{"gpu[03-05,09],cpu1", "gpu03"},
                                                                  {"gpu7", "gpu7"},
                                                                  {"a1,a2", "a1"},
                                                                  {"rack2-n[8,10-12]", "rack2-n8"}};
  for (const auto& [list, first] : lists) {
    const Launch launch = read({{"SLURM_PROCID", "2"},
                                {"SLURM_STEP_NUM_TASKS", "4"},
                                {"SLURM_LOCALID", "0"},
                                {"SLURM_JOB_ID", "1234567"},
                                {"SLURM_STEP_NODELIST", list}});
    CHECK(launch.rank == 2);
    CHECK(launch.local_rank == 0);
    CHECK(launch.address == first);
    CHECK(launch.port == 29500 + 567);
  }
}

TEST_CASE("read_launch names the variable, its value and what it expected") {
  const std::vector<std::pair<Variables, std::string>> wrong = {
      {{{"RANK", "0"}}, "environment: WORLD_SIZE is not set, expected an integer from 1 to 65536"},
      {{{"WORLD_SIZE", "2"}}, "environment: RANK is not set, expected an integer from 0 to 1"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "two"}},
       "environment: WORLD_SIZE = two, expected an integer from 1 to 65536"},
      {{{"RANK", "2"}, {"WORLD_SIZE", "2"}},
       "environment: RANK = 2, expected an integer from 0 to 1"},
      {{{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "-1"}},
       "environment: LOCAL_RANK = -1, expected an integer from 0 to 1"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}},
       "environment: MASTER_ADDR is not set, expected the name or address of rank 0's machine for "
       "the 2 processes to "
       "meet at"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
       "environment: MASTER_PORT is not set, expected an integer from 1 to 65535"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "80a"}},
       "environment: MASTER_PORT = 80a, expected an integer from 1 to 65535"},
      {{{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}},
       "environment: MASTER_ADDR is not set, expected the name or address of rank 0's machine for "
       "the 2 processes to "
       "meet at"},
      {{{"SLURM_STEP_NUM_TASKS", "3"}},
       "environment: SLURM_PROCID is not set, expected an integer from 0 to 2"}};
  for (const auto& [variables, message] : wrong) {
    const Variables& given = variables;
    CHECK(test::message_of<ConfigError>([&] { read(given); }) == message);
  }
}
