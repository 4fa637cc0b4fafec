#pragma once

#include <memory>
#include <string>

#include "supernet/distributed/c10d_headers.h"

namespace lathe::supernet {

/// Knows whether the other processes of a group live. A thread of its own writes a beat to the
/// common store every second, and reads the others': rank 0 watches all, the others watch rank 0,
/// which passes on what it sees. So it also notices a process that hangs or a machine that is gone,
/// while no operation is in flight. Thread-safe.
class Monitor {
 public:
  struct Options {
    int rank = 0;
    int size = 1;
    double silence_s = 20.0;  ///< how long a process may be silent
    double beat_s = 1.0;
  };
  /// `store` must be a connection that nothing else uses. Returns when the first beat is written.
  /// \throws what the store throws.
  Monitor(c10::intrusive_ptr<c10d::Store> store, const Options& options);
  /// Ends the thread; one that a dead store holds is left behind.
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  /// True once every process has written a beat.
  bool complete() const;
  /// Returns the ranks that have not come, "1, 3".
  std::string missing() const;
  /// Returns why the group cannot go on, or nothing.
  std::string failure() const;
  /// Tells the others that this process gives up. Waits until it is written, at most two beats.
  void give_up(const std::string& reason) noexcept;
  /// From now on silence is no failure: the work is done.
  void leave();

 private:
  struct State;
  static void run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

}  // namespace lathe::supernet
