#include "latency/fleet/local_agent.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <thread>

#include "core/clock.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/log.h"
#include "latency/fleet/agent_client.h"

extern char** environ;

namespace lathe::latency {
namespace {

constexpr double kStartTimeoutS = 10.0;
constexpr double kStopTimeoutS = 2.0;
constexpr int kStartAttempts = 3;  // another process may take the free port before the agent does

std::string reason() { return std::strerror(errno); }

int free_loopback_port() {
  const FileDescriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the socket interface
  if (!probe.valid() || bind(probe.get(), generic, size) != 0 ||
      getsockname(probe.get(), generic, &size) != 0) {
    throw DeviceError("local agent: no free loopback port: " + reason());
  }
  return ntohs(address.sin_port);
}

std::string draw_token() {
  std::random_device device;
  std::string token;
  constexpr char kDigits[] = "0123456789abcdef";
  for (int i = 0; i < 8; ++i) {
    unsigned bits = device();
    for (int digit = 0; digit < 8; ++digit, bits >>= 4) token += kDigits[bits & 15U];
  }
  return token;
}

/// A file of a name of its own that only this user can read, removed with its owner.
class TokenFile {
 public:
  explicit TokenFile(const std::string& token) {
    path_ = (std::filesystem::temp_directory_path() / "lathe-token-XXXXXX").string();
    const FileDescriptor file(mkostemp(path_.data(), O_CLOEXEC));
    const auto size = static_cast<ssize_t>(token.size());
    if (!file.valid() || write(file.get(), token.data(), token.size()) != size) {
      throw DeviceError("local agent: cannot write its token to " + path_ + ": " + reason());
    }
  }
  ~TokenFile() { unlink(path_.c_str()); }
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::filesystem::path default_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) throw DeviceError("local agent: cannot read /proc/self/exe: " + error.message());
  return self.parent_path() / "lathe-agent";
}

/// Runs functions on one thread that lives as long as this object. The kernel sends a child its
/// parent-death signal when the *thread* that started it ends, so agents must be started by a
/// thread that stays.
class SpawnThread {
 public:
  SpawnThread() : thread_([this] { loop(); }) {}
  ~SpawnThread() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  SpawnThread(const SpawnThread&) = delete;
  SpawnThread& operator=(const SpawnThread&) = delete;

  void run(const std::function<void()>& task) {
    std::unique_lock<std::mutex> lock(mutex_);
    task_ = &task;
    changed_.notify_all();
    changed_.wait(lock, [this] { return task_ == nullptr; });
  }

 private:
  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || task_ != nullptr; });
      if (task_ == nullptr) return;
      (*task_)();
      task_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* task_ = nullptr;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace

struct LocalAgent::State {
  explicit State(const Options& given)
      : options(given), token(draw_token()), log(memfd_create("lathe-agent-log", MFD_CLOEXEC)) {
    if (options.program.empty()) options.program = default_program();
    if (access(options.program.c_str(), X_OK) != 0) {
      throw DeviceError("local agent: program = " + options.program.string() +
                        ", expected an executable: " + reason());
    }
    if (!log.valid()) throw DeviceError("local agent: no memory file for its log: " + reason());
    fcntl(log.get(), F_SETFL, O_APPEND);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port); }

  /// Returns whether the process runs; reaps it when it has ended.
  bool running() {
    if (process <= 0) return false;
    int status = 0;
    if (waitpid(process, &status, WNOHANG) == 0) return true;
    process = 0;
    return false;
  }

  /// Starts the process and waits until it answers. Returns false if it ended before it did.
  bool start() {
    const TokenFile token_file(token);
    spawn(token_file.path());
    const Credentials credentials{token, {}, {}, {}, false};
    const double deadline_s = steady_clock().now_s() + kStartTimeoutS;
    while (running()) {
      AgentClient client(address(), credentials);
      if (client.describe(1.0).ok()) return true;
      if (steady_clock().now_s() > deadline_s) {
        stop();
        throw DeviceError("local agent: " + options.program.string() +
                          " did not answer within 10 s" + log_tail());
      }
      steady_clock().sleep_s(0.02);
    }
    return false;
  }

  void spawn(const std::string& token_path) {
    std::vector<std::string> words = {options.program.string(), "--listen",     address(),
                                      "--die-with-parent",      "--token-file", token_path};
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, log.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, log.get(), STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);  // Ctrl-C in the terminal is lathe's to handle
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    int error = 0;
    spawner.run([&] {
      error = posix_spawn(&process, options.program.c_str(), &actions, &attributes,
                          arguments.data(), environ);
    });
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      process = 0;
      throw DeviceError("local agent: cannot start " + options.program.string() + ": " +
                        std::strerror(error));
    }
  }

  void stop() {
    if (process <= 0) return;
    kill(process, SIGTERM);
    const double deadline_s = steady_clock().now_s() + kStopTimeoutS;
    while (running() && steady_clock().now_s() < deadline_s) steady_clock().sleep_s(0.005);
    if (process <= 0) return;
    kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
    process = 0;
  }

  std::string log_tail() const {
    const off_t size = lseek(log.get(), 0, SEEK_END);
    std::string text(static_cast<size_t>(std::clamp<off_t>(size, 0, 2000)), '\0');
    const ssize_t got =
        pread(log.get(), text.data(), text.size(), size - static_cast<off_t>(text.size()));
    text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.empty() ? ", and it wrote nothing" : ", it wrote: " + text;
  }

  Options options;
  std::string token;
  FileDescriptor log;
  std::mutex mutex;
  SpawnThread spawner;
  pid_t process = 0;
  int port = 0;
};

LocalAgent::LocalAgent(const Options& options) : state_(std::make_unique<State>(options)) {
  for (int attempt = 0; attempt < kStartAttempts; ++attempt) {
    state_->port = free_loopback_port();
    if (state_->start()) return;
  }
  throw DeviceError("local agent: " + state_->options.program.string() + " ended at its start" +
                    state_->log_tail());
}

LocalAgent::~LocalAgent() { state_->stop(); }

std::string LocalAgent::address() const { return state_->address(); }

std::string LocalAgent::token() const { return state_->token; }

int LocalAgent::process_id() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->process;
}

bool LocalAgent::ensure_running() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (state_->running()) return false;
  for (int attempt = 0; attempt < kStartAttempts; ++attempt) {
    if (state_->start()) {
      log::warning("the local agent had ended and was started again",
                   {{"process", std::to_string(state_->process)}});
      return true;
    }
    steady_clock().sleep_s(0.2);  // the port of the killed agent may still be taken
  }
  throw DeviceError("local agent: " + state_->options.program.string() + " ended at its start" +
                    state_->log_tail());
}

}  // namespace lathe::latency
