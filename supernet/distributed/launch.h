#pragma once

#include <functional>
#include <string>

namespace lathe::supernet {

/// How this process was started beside others: which one it is, and where they meet.
struct Launch {
  int rank = 0;
  int size = 1;
  int local_rank = 0;   ///< among the processes of this machine: which GPU it takes
  int local_size = 1;   ///< how many they are: they divide its cores
  std::string address;  ///< of the store where they meet; empty: this process is alone
  int port = 0;
  bool hosts_store = false;  ///< whether this process opens the store (else somebody else does)
  std::string attempt;       ///< differs each time that torchrun starts the processes anew
};

/// Looks up an environment variable; null: not set. `std::getenv`, or a test's table.
using Environment = std::function<const char*(const char*)>;

/// Reads what torchrun, mpirun (Open MPI) or Slurm's srun tell a process, in this order:
///  - RANK and WORLD_SIZE, LOCAL_RANK (RANK if not set), LOCAL_WORLD_SIZE (1 if not set),
///    MASTER_ADDR, MASTER_PORT. What torchrun sets; by hand they start processes without any
///    launcher. torchrun's own store is used where
///    TORCHELASTIC_USE_AGENT_STORE is True, else rank 0 opens one.
///  - OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE. MASTER_ADDR is needed where the
///    processes are not all on one machine.
///  - SLURM_PROCID, SLURM_STEP_NUM_TASKS (set by srun, not for a batch script itself),
///    SLURM_LOCALID. MASTER_ADDR is the first of SLURM_STEP_NODELIST if not set. Slurm itself gives
///    each task its cores.
/// MASTER_PORT is 29500 (for Slurm plus the job's number modulo 1000) if the launcher is not
/// torchrun and sets none. None of them set, or one process: alone.
/// \throws ConfigError naming the variable, its value and what was expected.
Launch read_launch(const Environment& environment);

}  // namespace lathe::supernet
