#pragma once

#include <string>
#include <utility>
#include <variant>

#include "core/error.h"

namespace lathe {

/// Why an everyday operation did not give a value. The names are stable: they are stored in
/// journals.
enum class FailureKind {
  Unavailable,       ///< No agent could be reached; a later try may succeed.
  Busy,              ///< The device or queue is full; a later try may succeed.
  DeadlineExceeded,  ///< The time limit ran out (queueing included).
  Cancelled,         ///< The caller gave up or shut down.
  Unsupported,       ///< The engine does not know an operator, precision or size.
  InvalidModel,      ///< The model file is malformed, truncated or refused.
  Crashed,           ///< The worker process died while running the model.
  OutOfMemory,       ///< The model went past the memory limit.
  Infeasible,        ///< No value satisfies the constraints.
  Unauthorized,      ///< Credentials are missing or wrong.
  Internal,          ///< Anything else; the message says what.
};

/// Returns the stable lower_snake_case name of `kind`, for example "out_of_memory".
const char* to_string(FailureKind kind);

/// Returns the kind named `name` as written by to_string. \throws InvariantError if there is none.
FailureKind failure_kind_from_string(const std::string& name);

/// A failure that is expected to happen in normal use, as a value.
struct Failure {
  FailureKind kind = FailureKind::Internal;
  std::string message;  ///< where: what = value, expected what
};

/// Either a value or a Failure. Used where failure is everyday; broken preconditions throw instead.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}            // NOLINT(google-explicit-constructor)
  Result(Failure failure) : state_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Returns the value. \throws InvariantError with the failure's message if there is none.
  const T& value() const& {
    require_ok();
    return std::get<0>(state_);
  }
  T& value() & {
    require_ok();
    return std::get<0>(state_);
  }
  T&& value() && {
    require_ok();
    return std::get<0>(std::move(state_));
  }
  const T& operator*() const& { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  /// Returns the failure. \throws InvariantError if there is a value.
  const Failure& failure() const {
    if (ok()) throw InvariantError("Result::failure: the result holds a value");
    return std::get<1>(state_);
  }

 private:
  void require_ok() const {
    if (!ok()) throw InvariantError("Result::value: " + std::get<1>(state_).message);
  }
  std::variant<T, Failure> state_;
};

}  // namespace lathe
