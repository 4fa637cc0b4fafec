#include "device_agent/worker/process_reaper.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "core/clock.h"
#include "core/file_descriptor.h"

namespace lathe::device {

namespace {

FileDescriptor open_process(pid_t process) {
  return FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

// Becomes readable when the process has ended.
bool wait_until_ended(const FileDescriptor& process, int timeout_ms) {
  pollfd watched{process.get(), POLLIN, 0};
  return ::poll(&watched, 1, timeout_ms) > 0;
}

}  // namespace

std::optional<int> wait_for_exit(pid_t process, double limit_s) {
  const double end_s = steady_clock().now_s() + limit_s;
  const FileDescriptor handle = open_process(process);
  while (true) {
    int status = 0;
    if (::waitpid(process, &status, WNOHANG) == process) return status;
    const double left_s = end_s - steady_clock().now_s();
    if (left_s <= 0.0) return std::nullopt;
    if (handle.valid()) {
      wait_until_ended(handle, static_cast<int>(std::ceil(1e3 * left_s)));
    } else {
      steady_clock().sleep_s(0.001);  // a kernel without pidfd_open
    }
  }
}

ProcessReaper& ProcessReaper::instance() {
  static ProcessReaper reaper;
  return reaper;
}

void ProcessReaper::adopt(pid_t process) {
  const std::lock_guard<std::mutex> lock(mutex_);
  waiting_.push_back(process);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_one();
}

ProcessReaper::~ProcessReaper() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ProcessReaper::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const pid_t process = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    const bool ended = wait_for_exit(process, 1.0).has_value();
    lock.lock();
    // At the end of the program a process that does not die is left to init.
    if (!ended && !stopping_) waiting_.push_back(process);
  }
}

}  // namespace lathe::device
