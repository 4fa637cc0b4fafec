#include "device_agent/worker/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "device_agent/board/system_files.h"
#include "device_agent/worker/process_reaper.h"
#include "device_agent/worker/worker_main.h"
#include "lathe/internal/worker.pb.h"

namespace lathe::device {

namespace {

// Seconds that a dead or killed process may take to become reapable before the reaper takes over.
constexpr double kExitWait_s = 1.0;

// Above the descriptors that the child gets, so that moving one there never overwrites another.
FileDescriptor duplicate_high(int descriptor) {
  FileDescriptor high(::fcntl(descriptor, F_DUPFD_CLOEXEC, 10));
  if (!high.valid())
    throw DeviceError(std::string("worker: no descriptor is free: ") + std::strerror(errno));
  return high;
}

struct SpawnActions {
  posix_spawn_file_actions_t actions{};
  SpawnActions() { posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
};

// Default signal actions and nothing blocked, whatever the agent set for itself.
struct SpawnAttributes {
  posix_spawnattr_t attributes{};
  SpawnAttributes() {
    posix_spawnattr_init(&attributes);
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
};

// The worker sees where libraries are and nothing else of the agent's environment.
std::vector<std::string> worker_environment() {
  std::vector<std::string> environment;
  for (const char* name :
       {"PATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name))
      environment.push_back(std::string(name) + "=" + value);
  }
  return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

pid_t spawn(const WorkerCommandLine& command, int channel, int model) {
  SpawnActions actions;
  posix_spawn_file_actions_adddup2(&actions.actions, channel, kWorkerChannel);
  if (model >= 0) posix_spawn_file_actions_adddup2(&actions.actions, model, kWorkerModel);
  const SpawnAttributes attributes;
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = worker_environment();
  pid_t process = -1;
  const int error =
      posix_spawn(&process, command.program.c_str(), &actions.actions, &attributes.attributes,
                  pointers(arguments).data(), pointers(environment).data());
  if (error != 0)
    throw DeviceError("worker: " + command.program + " cannot be started: " + std::strerror(error));
  return process;
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

}  // namespace

WorkerCommandLine WorkerCommandLine::of_this_program(int argc) {
  std::vector<std::string> words;
  // Not /proc/self, which user-mode emulators answer for: they leave themselves out.
  std::string cmdline = read_text("/proc/thread-self/cmdline").value_or("");
  cmdline.push_back('\0');
  for (size_t begin = 0; begin < cmdline.size();) {
    const size_t end = cmdline.find('\0', begin);
    words.push_back(cmdline.substr(begin, end - begin));
    begin = end + 1;
  }
  // What stands before main's argv[0] started the program: a dynamic loader, an emulator, their
  // options.
  const size_t own =
      words.size() > static_cast<size_t>(argc) ? words.size() - static_cast<size_t>(argc) : 0;
  WorkerCommandLine command;
  command.program = "/proc/thread-self/exe";
  command.arguments.assign(words.begin(),
                           words.begin() + static_cast<ptrdiff_t>(std::min(own + 1, words.size())));
  command.arguments.emplace_back("--worker");
  return command;
}

WorkerProcess::WorkerProcess(const WorkerCommandLine& command, int model)
    : channel_(FileDescriptor()) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    throw DeviceError(std::string("worker: no socket pair: ") + std::strerror(errno));
  }
  channel_ = MessageChannel(FileDescriptor(pair[0]));
  const FileDescriptor theirs(pair[1]);
  const FileDescriptor high_channel = duplicate_high(theirs.get());
  const FileDescriptor high_model = model >= 0 ? duplicate_high(model) : FileDescriptor();
  process_ = spawn(command, high_channel.get(), high_model.get());
}

WorkerProcess::~WorkerProcess() { kill(); }

void WorkerProcess::kill() {
  if (reaped_) return;
  ::kill(process_, SIGKILL);
  ProcessReaper::instance().adopt(process_);
  reaped_ = true;
}

Failure WorkerProcess::give_up(Failure failure) {
  kill();
  failed_ = true;
  failure_ = std::move(failure);
  return failure_;
}

// The other end was closed: the process is dead or dying.
Failure WorkerProcess::describe_exit() {
  const std::optional<int> status = wait_for_exit(process_, kExitWait_s);
  if (!status)
    return {FailureKind::Crashed, "the worker process closed its channel and did not end"};
  reaped_ = true;
  if (WIFEXITED(*status)) {
    return {FailureKind::Crashed, "the worker process ended with exit code " +
                                      std::to_string(WEXITSTATUS(*status)) +
                                      " while running the model"};
  }
  const int signal = WTERMSIG(*status);
  if (signal == SIGXCPU) return {FailureKind::DeadlineExceeded, "the model used up its CPU time"};
  if (signal == SIGKILL) {
    return {FailureKind::Crashed,
            "the worker process was killed while running the model (by the kernel for lack of "
            "memory, or by hand)"};
  }
  return {FailureKind::Crashed,
          "the worker process died of " + signal_name(signal) + " while running the model"};
}

Failure WorkerProcess::failure_of(MessageChannel::Status status) {
  switch (status) {
    case MessageChannel::Status::Closed:
      return give_up(describe_exit());
    case MessageChannel::Status::TimedOut:
      return give_up({FailureKind::DeadlineExceeded,
                      "the model did not answer in time: the worker was killed"});
    case MessageChannel::Status::Woken:
      return give_up({FailureKind::Cancelled, "the job was cancelled"});
    case MessageChannel::Status::Malformed:
    case MessageChannel::Status::Done:
      break;
  }
  return give_up({FailureKind::Crashed, "the worker process sent what is not a message"});
}

Result<internal::WorkerEvent> WorkerProcess::call(const internal::WorkerCommand& command,
                                                  double deadline_s,
                                                  const Cancellation& cancellation) {
  if (failed_) return failure_;
  const int wake = cancellation.descriptor();
  MessageChannel::Status status = channel_.send(command, deadline_s, wake);
  if (status != MessageChannel::Status::Done) return failure_of(status);
  internal::WorkerEvent event;
  status = channel_.receive(event, deadline_s, wake);
  if (status != MessageChannel::Status::Done) return failure_of(status);
  if (!event.has_failed()) return event;
  Failure failure{FailureKind::Internal, event.failed().message()};
  try {
    failure.kind = failure_kind_from_string(event.failed().kind());
  } catch (const InvariantError&) {  // a worker that ran a hostile model may send anything
    failure.message = "the worker process sent an unknown kind of failure";
  }
  return give_up(std::move(failure));
}

}  // namespace lathe::device
