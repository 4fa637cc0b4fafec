#include "device_agent/service/agent_main.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/certificate.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/file_descriptor.h"
#include "device_agent/board/cores.h"
#include "device_agent/board/system_files.h"
#include "device_agent/service/agent_server.h"
#include "device_agent/service/idle_memory.h"
#include "device_agent/service/service_manager.h"
#include "device_agent/worker/worker_main.h"

namespace lathe::device {

namespace {

constexpr double kIdleInterval_s = 30.0;

struct CommandLine {
  ServerOptions server;
  std::string token_file;
  std::string port_file;
  int core = -1;
  int64_t memory_limit_bytes = int64_t{512} << 20;
  double drain_s = 30.0;
  std::string energy_sensor;
  bool emulated = false;
  bool die_with_parent = false;
};

constexpr const char* kFooter =
    "Examples\n"
    "  lathe-agent                                     for this machine alone, on a free port\n"
    "  lathe-agent --listen 0.0.0.0:50051 --token-file /etc/lathe/token --allow-plaintext\n"
    "                                                  for a trusted network\n"
    "  lathe-agent --listen 0.0.0.0:50051 --tls-certificate a.pem --tls-key a.key --tls-ca ca.pem\n"
    "                                                  for any network: both sides prove "
    "themselves\n"
    "\n"
    "The agent measures networks for controllers (`lathe`). Every network runs in a process of its "
    "own, pinned to\n"
    "one core and limited in memory and time; the agent keeps off that core. `lathe devices` "
    "says what\n"
    "makes this board noisy. SIGTERM lets the current job end and stops.\n"
    "\n"
    "Exit codes: 0 ended by a signal, 2 command line or address, 3 a file, 4 the board, 1 anything "
    "else.";

void define(CLI::App& app, CommandLine& line) {
  app.footer(kFooter);
  app.add_option("--listen", line.server.listen, "HOST:PORT to listen on; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--port-file", line.port_file,
                 "write the address to this file once it is listened on");
  app.add_option("--token-file", line.token_file,
                 "file with the token that controllers must send (16 characters or more)");
  app.add_option("--tls-certificate", line.server.certificate, "this agent's certificate (PEM)");
  app.add_option("--tls-key", line.server.key, "its private key (PEM)");
  app.add_option("--tls-ca", line.server.ca, "certificates of those who sign controllers (PEM)");
  app.add_flag("--allow-plaintext", line.server.allow_plaintext,
               "listen beyond loopback without TLS");
  app.add_option("--cpu", line.core, "core to measure on; default: the last of the fastest cores");
  app.add_option("--memory-limit", line.memory_limit_bytes,
                 "memory of a network's process, such as 512MB")
      ->transform(CLI::AsSizeValue(true))
      ->default_str("512MB");
  app.add_option("--max-model", line.server.max_model_bytes, "largest model file, such as 256MB")
      ->transform(CLI::AsSizeValue(true))
      ->default_str("256MB");
  app.add_option("--drain", line.drain_s, "seconds that the current job may take after SIGTERM")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--energy-sensor", line.energy_sensor,
                 "sensor that measures energy, by name; default: the one that covers most");
  app.add_flag("--emulated", line.emulated, "this machine is emulated: mark every time as invalid");
  app.add_flag("--die-with-parent", line.die_with_parent,
               "end when the program that started the agent ends");
}

AgentSettings make_settings(const CommandLine& line, int argc, const EngineRegistry& engines) {
  AgentSettings settings;
  settings.engines = &engines;
  settings.worker = WorkerCommandLine::of_this_program(argc);
  settings.board = read_board(settings.board_root);
  settings.board.emulated = settings.board.emulated || line.emulated;
  settings.invalid_timing = settings.board.emulated;
  // An emulator takes seconds for one inference in fp16: hangs must not be told from that.
  if (settings.board.emulated) settings.grace_s *= 10.0;
  settings.memory_limit_bytes = line.memory_limit_bytes;
  settings.energy = choose_energy_source(settings.board_root, line.energy_sensor);
  settings.usable_cores = choose_cores(settings.board_root, settings.board, line.core);
  return settings;
}

std::string read_token(const std::string& path) {
  const std::string token = read_text(path).value_or("");
  if (token.empty())
    throw DataError("token file " + path +
                    ": empty or unreadable, expected one line with the token");
  return token;
}

// The board's clock may be wrong, so an expired certificate only makes controllers refuse it.
void warn_of_expiry(const std::filesystem::path& certificate) {
  if (certificate.empty()) return;
  const CertificateFacts facts = certificate_facts(read_file(certificate), certificate.string());
  if (facts.not_after_s > unix_now_s() + 30 * int64_t{86400}) return;
  std::fprintf(stderr, "lathe-agent: %s is valid until %s, and it is %s: renew it\n",
               certificate.c_str(), utc_date(facts.not_after_s).c_str(),
               utc_date(unix_now_s()).c_str());
}

// Blocks the signals that end the agent and returns a descriptor that tells of them. To be called
// before any thread starts, which then inherits the blocking.
FileDescriptor catch_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC));
}

// A descriptor that becomes readable when the parent process has ended.
FileDescriptor watch_parent() {
  const pid_t parent = ::getppid();
  FileDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, parent, 0)));
  if (!handle.valid())
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // an old kernel: the thread that started us counts
  if (::getppid() != parent) throw DeviceError("--die-with-parent: the parent has ended already");
  return handle;
}

// Every model and every job is a memory file or an event descriptor, every connection a socket.
void raise_descriptor_limit() {
  constexpr rlim_t kEnough = 16384;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kEnough) return;
  limit.rlim_cur = std::min(limit.rlim_max, kEnough);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

enum class Ending { Signal, Orphaned };

// Waits. Meanwhile gives the service manager its signs of life, none while the service hangs, and
// memory back while nobody holds the board.
Ending wait_for_end(const FileDescriptor& signals, const FileDescriptor& parent,
                    const ServiceManager& manager, AgentServer& server) {
  std::array<pollfd, 2> watched{pollfd{signals.get(), POLLIN, 0}, pollfd{parent.get(), POLLIN, 0}};
  const bool watchdog = manager.watchdog_interval_s() >= 0.0;
  const double interval_s = watchdog ? manager.watchdog_interval_s() : kIdleInterval_s;
  const int interval_ms = std::max(1, static_cast<int>(1e3 * interval_s));
  while (true) {
    const int ready = ::poll(watched.data(), watched.size(), interval_ms);
    if (ready > 0) break;
    if (ready == 0 && watchdog && server.responds(0.5 * interval_s)) manager.tell("WATCHDOG=1");
    if (!server.leased()) release_idle_memory();
  }
  if (watched[0].revents == 0) return Ending::Orphaned;
  signalfd_siginfo info{};
  [[maybe_unused]] const ssize_t count = ::read(signals.get(), &info, sizeof info);
  return Ending::Signal;
}

int serve(const CommandLine& line, int argc, const EngineRegistry& engines) {
  raise_descriptor_limit();
  const FileDescriptor signals = catch_signals();
  const FileDescriptor parent = line.die_with_parent ? watch_parent() : FileDescriptor();
  const AgentSettings settings = make_settings(line, argc, engines);
  ServerOptions options = line.server;
  if (!line.token_file.empty()) options.token = read_token(line.token_file);
  warn_of_expiry(options.certificate);
  AgentServer server(settings, options);
  std::printf("lathe-agent listens on %s and measures on core %d\n", server.address().c_str(),
              settings.usable_cores.back());
  std::fflush(stdout);
  if (!line.port_file.empty()) write_file_atomically(line.port_file, server.address() + "\n");
  release_idle_memory();
  const ServiceManager manager;
  manager.tell("READY=1\nSTATUS=listens on " + server.address() + ", measures on core " +
               std::to_string(settings.usable_cores.back()));
  const Ending ending = wait_for_end(signals, parent, manager, server);
  manager.tell("STOPPING=1\nSTATUS=lets the current job end");
  server.stop(ending == Ending::Orphaned ? 0.0 : line.drain_s);
  return 0;
}

int report(const std::exception& error, int code) {
  std::fprintf(stderr, "lathe-agent: %s\n", error.what());
  return code;
}

}  // namespace

int agent_main(int argc, char** argv, const EngineRegistry& engines) {
  if (argc == 2 && std::strcmp(argv[1], "--worker") == 0) return run_worker(engines);
  CLI::App app{"lathe-agent: measures neural networks on this board for lathe controllers",
               "lathe-agent"};
  CommandLine line;
  define(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    return serve(line, argc, engines);
  } catch (const ConfigError& error) {
    return report(error, 2);
  } catch (const DataError& error) {
    return report(error, 3);
  } catch (const DeviceError& error) {
    return report(error, 4);
  } catch (const std::exception& error) {
    return report(error, 1);
  }
}

}  // namespace lathe::device
