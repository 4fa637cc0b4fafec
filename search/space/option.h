#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "network/network.h"

namespace lathe::search {

enum class OptionKind { Integer, Real, Boolean, Activation, Name };

/// Describes one key of a space's file: what its values may be.
struct OptionSpec {
  std::string name;  ///< "kernel"
  OptionKind kind = OptionKind::Integer;
  std::string fallback;  ///< as written in a file; empty: the key is required (integers only)
  IntegerRange integers{};
  RealRange reals{};
  bool odd = false;                  ///< integers must be odd
  std::vector<std::string> names{};  ///< the values of OptionKind::Name
  bool elastic = true;               ///< false: a single value, never a gene
};

/// One value of an option.
struct OptionValue {
  std::string text;  ///< as shown to people
  double number =
      0.0;  ///< the integer or real; 0 or 1; the index in OptionSpec::names; the ActivationKind
};

/// An option as read: its values in the file's order. Integers, reals and booleans are ordered by
/// size; of names and activations the first listed counts as both the largest and the smallest.
struct Option {
  std::string name;
  std::vector<OptionValue> values;
  size_t largest = 0;
  size_t smallest = 0;
};

/// Returns the option with its values given as text.
/// \throws InvariantError if there are none; ConfigError or InvariantError for an unknown name.
Option make_option(const OptionSpec& spec, const std::vector<std::string>& texts);

/// Reads the key `spec.name`: one value or a list without repetitions. Faults are recorded in the
/// document and give some value in range, so that reading goes on.
Option read_option(ConfigSection& section, const OptionSpec& spec);

/// Returns the activations that a space may name.
const std::vector<std::string>& activation_names();

/// The values chosen for one block, by option name. A view: it must not outlive the options.
class Choices {
 public:
  /// `indices[i]` chooses the value of `(*options)[i]`.
  Choices(const std::vector<Option>& options, std::vector<size_t> indices);

  /// \throws InvariantError if there is no option `name`.
  int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  bool boolean(const std::string& name) const;
  network::ActivationKind activation(const std::string& name) const;
  const std::string& text(const std::string& name) const;

 private:
  const OptionValue& value(const std::string& name) const;
  const std::vector<Option>* options_;
  std::vector<size_t> indices_;
};

}  // namespace lathe::search
