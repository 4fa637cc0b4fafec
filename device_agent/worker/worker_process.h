#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/result.h"
#include "device_agent/worker/cancellation.h"
#include "device_agent/worker/message_channel.h"

namespace lathe::internal {
class WorkerCommand;
class WorkerEvent;
}  // namespace lathe::internal

namespace lathe::device {

/// How to start this program again as a worker.
struct WorkerCommandLine {
  std::string program;                 ///< path to execute
  std::vector<std::string> arguments;  ///< argv, with argv[0]

  /// Returns the command that runs the current program with `--worker`, also when it was started
  /// through a dynamic loader (`ld.so --library-path lib lathe-agent`) or an emulator. `argc` is
  /// main's.
  static WorkerCommandLine of_this_program(int argc);
};

/// One worker process with its channel. Killed and reaped at destruction, without waiting for a
/// process that does not die at once. To be started and used by one long-lived thread: the kernel
/// kills the worker when that thread ends.
class WorkerProcess {
 public:
  /// Starts the worker; `model` is a descriptor of the model's bytes (duplicated), or -1.
  /// \throws DeviceError if no process can be started.
  WorkerProcess(const WorkerCommandLine& command, int model);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  /// Sends a command and waits for its event. A worker that fails, dies, hangs beyond `deadline_s`
  /// (on steady_clock()) or is cancelled gives a Failure and is killed; later calls give the same
  /// Failure.
  Result<internal::WorkerEvent> call(const internal::WorkerCommand& command, double deadline_s,
                                     const Cancellation& cancellation);

  pid_t process_id() const { return process_; }

 private:
  Failure failure_of(MessageChannel::Status status);
  Failure describe_exit();
  Failure give_up(Failure failure);
  void kill();

  pid_t process_ = -1;
  bool reaped_ = false;
  MessageChannel channel_;
  bool failed_ = false;
  Failure failure_;
};

}  // namespace lathe::device
