#pragma once

#include <stdexcept>
#include <string>

namespace lathe {

/// Root of lathe's exceptions. The message says where: what = value, expected what.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A configuration, command line or search space that cannot be used. Exit code 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A data set, model or run file that is missing, unreadable or corrupt. Exit code 3.
class DataError : public Error {
 public:
  using Error::Error;
};

/// A device or agent with which the operation cannot go on. Exit code 4.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// Another process of the same work died or stopped answering. What was saved is intact, and the same
/// command goes on from there. Exit code 1.
class PeerError : public Error {
 public:
  using Error::Error;
};

/// A broken contract inside lathe: a bug, not a user's mistake. Exit code 1.
class InvariantError : public Error {
 public:
  using Error::Error;
};

}  // namespace lathe
