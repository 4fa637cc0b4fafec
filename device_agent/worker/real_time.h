#pragma once

#include <sys/types.h>

#include <vector>

namespace lathe::device {

/// While it lives, every thread that this process had at its start runs before every ordinary
/// program on its core, if the system allows that (CAP_SYS_NICE); else nothing changes. For short
/// stretches: the kernel keeps about 5 % of every second for the others.
class RealTimeScope {
 public:
  RealTimeScope();
  ~RealTimeScope();
  RealTimeScope(const RealTimeScope&) = delete;
  RealTimeScope& operator=(const RealTimeScope&) = delete;
  bool active() const { return !raised_.empty(); }

 private:
  std::vector<pid_t> raised_;
};

}  // namespace lathe::device
