#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/result.h"
#include "latency/measurement/latency_estimate.h"
#include "network/network.h"

namespace lathe::device {

/// Why an engine cannot prepare or run a model, with the kind that the controller is told.
class EngineError : public DeviceError {
 public:
  EngineError(FailureKind kind, const std::string& message) : DeviceError(message), kind_(kind) {}
  FailureKind kind() const { return kind_; }

 private:
  FailureKind kind_;
};

struct EngineOptions {
  int threads = 1;  ///< at most the usable cores
  latency::Precision precision = latency::Precision::Fp32;
};

/// One unit of work of a prepared network, as the profile shows it.
struct OperatorInfo {
  std::string node;  ///< name of the network's node
  std::string op;    ///< what runs: "conv2d", "sigmoid", "copy", ...
  int64_t macs = 0;  ///< multiply-accumulates of the node, counted at its first operator
};

/// A network ready to run at batch 1. Not thread-safe.
class Runnable {
 public:
  virtual ~Runnable() = default;

  /// Runs the network once on the input that was written last (zeros before that). Does not
  /// allocate.
  virtual void run() = 0;

  /// Runs once and adds each operator's seconds to `seconds`, which has one entry an operator.
  virtual void run_timed(std::vector<double>& seconds) = 0;

  /// Copies an image [C, H, W] in. \throws InvariantError if the number of values differs.
  virtual void write_input(const std::vector<float>& image) = 0;

  /// Returns the output of the last run, in the network's order ([C, H, W] or [features]).
  virtual std::vector<float> read_output() const = 0;

  virtual const std::vector<OperatorInfo>& operators() const = 0;

  /// Bytes of activations held by this object.
  virtual int64_t activation_bytes() const = 0;
};

/// Makes networks runnable on this machine. Immutable.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string name() const = 0;
  virtual std::string version() const = 0;
  virtual std::vector<latency::Precision> precisions() const = 0;
  /// Names of the lathe operators it runs (network::operator_name).
  virtual std::vector<std::string> operators() const = 0;

  /// Folds, packs and plans. The model is consumed: its weights are freed as they are packed.
  /// \throws EngineError Unsupported naming the node and operator, precision or number of threads;
  /// OutOfMemory if memory ran out.
  virtual std::unique_ptr<Runnable> prepare(network::Model model,
                                            const EngineOptions& options) const = 0;
};

/// The engines of this agent, by name. Filled before threads start, read-only afterwards.
class EngineRegistry {
 public:
  /// \throws InvariantError if the name is taken.
  void add(std::unique_ptr<Engine> engine);
  /// \throws EngineError Unsupported listing the names if there is none called `name`.
  const Engine& get(const std::string& name) const;
  const std::vector<std::unique_ptr<Engine>>& all() const { return engines_; }

 private:
  std::vector<std::unique_ptr<Engine>> engines_;
};

}  // namespace lathe::device
