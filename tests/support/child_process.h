#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace lathe::test {

/// A program started for a test, with its output in memory. Killed with its group when it goes out of scope.
class ChildProcess {
 public:
  /// Starts `arguments[0]`; `environment` adds NAME=VALUE entries. \throws std::runtime_error.
  explicit ChildProcess(std::vector<std::string> arguments,
                        const std::vector<std::string>& environment = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int id() const { return id_; }
  /// Waits for the end and returns the exit code, or -signal.
  int wait();
  /// Returns true once the process has ended, without waiting.
  bool ended();
  void kill(int signal_number);
  /// Lets the process run for so long at most, then kills it with SIGKILL and returns true.
  bool kill_after(std::chrono::milliseconds patience);
  /// What it has written to standard output and error so far.
  std::string output() const;

 private:
  int id_ = -1;
  int status_ = 0;
  bool reaped_ = false;
  std::string output_path_;
};

/// Runs a program to its end and returns its exit code and output.
std::pair<int, std::string> run_program(const std::vector<std::string>& arguments,
                                        const std::vector<std::string>& environment = {});

}  // namespace lathe::test
