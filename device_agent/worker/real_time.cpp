#include "device_agent/worker/real_time.h"

#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace lathe::device {

namespace {

bool schedule(pid_t thread, int policy, int priority) {
  sched_param parameters{};
  parameters.sched_priority = priority;
  return sched_setscheduler(thread, policy, &parameters) == 0;
}

}  // namespace

RealTimeScope::RealTimeScope() {
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const auto thread = static_cast<pid_t>(std::atol(task.path().filename().c_str()));
    if (schedule(thread, SCHED_FIFO, 1)) raised_.push_back(thread);
  }
}

RealTimeScope::~RealTimeScope() {
  for (const pid_t thread : raised_) schedule(thread, SCHED_OTHER, 0);
}

}  // namespace lathe::device
