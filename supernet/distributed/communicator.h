#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supernet/distributed/launch.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// The processes that work on one supernet, as one of them sees them. Every process calls the same
/// operations in the same order. An operation in which another process dies, fails or stops
/// answering throws PeerError within kSilenceS and a few seconds; then nothing but destruction is
/// possible. `what` names the operation in that message: "the gradients". Not thread-safe.
class Communicator {
 public:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool alone() const { return size_ == 1; }
  bool is_first() const { return rank_ == 0; }

  /// Replaces a contiguous tensor by the sum over all processes: the same bits everywhere.
  virtual void all_reduce_sum(at::Tensor tensor, const char* what) = 0;
  /// Replaces a contiguous tensor by rank 0's.
  virtual void broadcast(at::Tensor tensor, const char* what) = 0;
  /// Tells the others why this process gives up, if they can still be told. Does not throw.
  virtual void give_up(const std::string& reason) noexcept = 0;
  /// Returns when every process has called it: the work is done, and each may end when it likes.
  virtual void leave() = 0;

  /// Returns when every process has called it.
  void barrier(const char* what);
  /// Returns rank 0's bytes.
  std::string broadcast_bytes(const std::string& bytes, const char* what);
  /// Returns every process's bytes, by rank.
  std::vector<std::string> gather(const std::string& bytes, const char* what);
  /// Returns every process's numbers summed.
  std::vector<double> sum(const std::vector<double>& values, const char* what);

  /// The step of training that messages name; negative: none.
  void set_step(int64_t step) { step_ = step; }
  int64_t step() const { return step_; }

 private:
  int rank_;
  int size_;
  int64_t step_ = -1;
};

/// How long a process may be silent before it counts as dead.
inline constexpr double kSilenceS = 20.0;
/// How long processes wait for each other at the start.
inline constexpr double kJoinS = 300.0;

struct CommunicatorOptions {
  double silence_s = kSilenceS;
  double join_s = kJoinS;
};

/// One process: every operation returns at once.
std::unique_ptr<Communicator> make_local_communicator();

/// Meets the other processes of `launch`: one process alone needs none. Sums of tensors on the CPU
/// run over Gloo, those on a GPU over NCCL where LibTorch has it, else over Gloo by way of the
/// host. GLOO_SOCKET_IFNAME names the network interface; without it, it is the one towards
/// MASTER_ADDR. \throws ConfigError if LibTorch has no Gloo, PeerError if not all processes come.
std::unique_ptr<Communicator> connect(const Launch& launch, at::Device device,
                                      const CommunicatorOptions& options = {});

}  // namespace lathe::supernet
