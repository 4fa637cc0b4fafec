#include "search/space/option.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lathe::search {
namespace {

std::string real_text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return buffer;
}

OptionValue boolean_value(bool value) { return {value ? "true" : "false", value ? 1.0 : 0.0}; }
OptionValue integer_value(int64_t value) {
  return {std::to_string(value), static_cast<double>(value)};
}
OptionValue real_value(double value) { return {real_text(value), value}; }
OptionValue activation_value(const std::string& name) {
  return {name, static_cast<double>(network::activation_from_string(name))};
}
OptionValue name_value(const OptionSpec& spec, const std::string& name) {
  const auto position = std::find(spec.names.begin(), spec.names.end(), name);
  if (position == spec.names.end()) {
    throw InvariantError("option " + spec.name + " = " + name + ", expected one of its names");
  }
  return {name, static_cast<double>(position - spec.names.begin())};
}

OptionValue value_from_text(const OptionSpec& spec, const std::string& text) {
  switch (spec.kind) {
    case OptionKind::Integer:
      return integer_value(std::stoll(text));
    case OptionKind::Real:
      return real_value(std::stod(text));
    case OptionKind::Boolean:
      return boolean_value(text == "true");
    case OptionKind::Activation:
      return activation_value(text);
    case OptionKind::Name:
      break;
  }
  return name_value(spec, text);
}

Option with_extremes(const OptionSpec& spec, std::vector<OptionValue> values) {
  Option option{spec.name, std::move(values), 0, 0};
  if (spec.kind == OptionKind::Activation || spec.kind == OptionKind::Name) return option;
  for (size_t i = 1; i < option.values.size(); ++i) {
    if (option.values[i].number > option.values[option.largest].number) option.largest = i;
    if (option.values[i].number < option.values[option.smallest].number) option.smallest = i;
  }
  return option;
}

template <typename Value, typename ToOptionValue>
std::vector<OptionValue> converted(const std::vector<Value>& values,
                                   ToOptionValue to_option_value) {
  std::vector<OptionValue> result;
  for (const Value& value : values) result.push_back(to_option_value(value));
  return result;
}

/// Reads one value or a list of them. Absent keys give an empty list when there is a fallback.
std::vector<OptionValue> read_values(ConfigSection& section, const OptionSpec& spec) {
  const std::string& key = spec.name;
  const bool optional = !spec.fallback.empty();
  if (optional && !section.has(key)) return {};
  const bool list = section.is_list(key);
  switch (spec.kind) {
    case OptionKind::Integer:
      if (list)
        return converted(section.integers(key, {{spec.integers.low}}, spec.integers),
                         integer_value);
      return {integer_value(section.integer(key, spec.integers.low, spec.integers))};
    case OptionKind::Real:
      if (list) return converted(section.reals(key, {{spec.reals.high}}, spec.reals), real_value);
      return {real_value(section.real(key, spec.reals.high, spec.reals))};
    case OptionKind::Boolean:
      if (list) return converted(section.booleans(key, {{false}}), boolean_value);
      return {boolean_value(section.boolean(key, false))};
    case OptionKind::Activation:
      if (list)
        return converted(section.choices(key, {{activation_names().front()}}, activation_names()),
                         activation_value);
      return {
          activation_value(section.choice(key, activation_names().front(), activation_names()))};
    case OptionKind::Name:
      break;
  }
  const auto to_value = [&spec](const std::string& name) { return name_value(spec, name); };
  if (list) return converted(section.choices(key, {{spec.names.front()}}, spec.names), to_value);
  return {to_value(section.choice(key, spec.names.front(), spec.names))};
}

bool has_repetition(const std::vector<OptionValue>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (values[i].text == values[j].text) return true;
    }
  }
  return false;
}

bool all_odd(const std::vector<OptionValue>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](const OptionValue& value) { return std::fmod(value.number, 2.0) == 1.0; });
}

}  // namespace

const std::vector<std::string>& activation_names() {
  static const std::vector<std::string> names = {"relu",  "relu6",        "hard_swish",
                                                 "swish", "hard_sigmoid", "sigmoid"};
  return names;
}

Option make_option(const OptionSpec& spec, const std::vector<std::string>& texts) {
  std::vector<OptionValue> values;
  for (const std::string& text : texts) values.push_back(value_from_text(spec, text));
  if (values.empty()) throw InvariantError("option " + spec.name + ": no values, expected one");
  return with_extremes(spec, std::move(values));
}

Option read_option(ConfigSection& section, const OptionSpec& spec) {
  if (spec.fallback.empty() && !section.has(spec.name)) {
    section.integer(spec.name, std::nullopt, spec.integers);  // records that it is missing
    return with_extremes(spec, {integer_value(spec.integers.low)});
  }
  std::vector<OptionValue> values = read_values(section, spec);
  if (section.is_list(spec.name)) {
    if (values.empty()) section.fault(spec.name, "at least one option");
    if (has_repetition(values)) section.fault(spec.name, "each option once");
    if (!spec.elastic) section.fault(spec.name, "a single value");
  }
  if (spec.odd && !all_odd(values)) {
    section.fault(spec.name, section.is_list(spec.name) ? "odd numbers" : "an odd number");
  }
  if (values.empty()) return make_option(spec, {spec.fallback.empty() ? "1" : spec.fallback});
  return with_extremes(spec, std::move(values));
}

Choices::Choices(const std::vector<Option>& options, std::vector<size_t> indices)
    : options_(&options), indices_(std::move(indices)) {
  if (indices_.size() != options.size()) {
    throw InvariantError("Choices: " + std::to_string(indices_.size()) + " indices, expected " +
                         std::to_string(options.size()));
  }
}

const OptionValue& Choices::value(const std::string& name) const {
  for (size_t i = 0; i < options_->size(); ++i) {
    const Option& option = (*options_)[i];
    if (option.name == name) return option.values.at(indices_[i]);
  }
  throw InvariantError("Choices: no option \"" + name + "\"");
}

int64_t Choices::integer(const std::string& name) const {
  return static_cast<int64_t>(value(name).number);
}
double Choices::real(const std::string& name) const { return value(name).number; }
bool Choices::boolean(const std::string& name) const { return value(name).number != 0.0; }
network::ActivationKind Choices::activation(const std::string& name) const {
  return static_cast<network::ActivationKind>(static_cast<int>(value(name).number));
}
const std::string& Choices::text(const std::string& name) const { return value(name).text; }

}  // namespace lathe::search
