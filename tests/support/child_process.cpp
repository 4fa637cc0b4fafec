#include "tests/support/child_process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace lathe::test {

ChildProcess::ChildProcess(std::vector<std::string> arguments, const std::vector<std::string>& environment)
    : output_path_((std::filesystem::temp_directory_path() / "lathe-child-XXXXXX").string()) {
  const int output = mkstemp(output_path_.data());
  if (output < 0) throw std::runtime_error("mkstemp failed: " + output_path_);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  id_ = fork();
  if (id_ < 0) throw std::runtime_error("fork failed");
  if (id_ == 0) {
    setpgid(0, 0);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    for (const std::string& entry : environment) {
      const size_t equals = entry.find('=');
      setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
    }
    execvp(argv[0], argv.data());
    _exit(127);
  }
  setpgid(id_, id_);
  close(output);
}

ChildProcess::~ChildProcess() {
  if (!reaped_) {
    ::kill(-id_, SIGKILL);
    wait();
  }
  unlink(output_path_.c_str());
}

int ChildProcess::wait() {
  while (!reaped_) {
    if (waitpid(id_, &status_, 0) == id_) reaped_ = true;
    if (errno != EINTR && !reaped_) break;
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
}

bool ChildProcess::ended() {
  if (!reaped_ && waitpid(id_, &status_, WNOHANG) == id_) reaped_ = true;
  return reaped_;
}

void ChildProcess::kill(int signal_number) { ::kill(id_, signal_number); }

std::string ChildProcess::output() const {
  std::ifstream file(output_path_);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool ChildProcess::kill_after(std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!ended() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (ended()) return false;
  kill(SIGKILL);
  return true;
}

std::pair<int, std::string> run_program(const std::vector<std::string>& arguments,
                                        const std::vector<std::string>& environment) {
  ChildProcess process(arguments, environment);
  const int code = process.wait();
  return {code, process.output()};
}

}  // namespace lathe::test
