#include "experiments/supernet/rounds.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"
#include "core/statistics.h"

namespace lathe::study {

double run_self(const std::vector<std::string>& arguments) {
  std::string command = "GOMP_SPINCOUNT=1000 /proc/" + std::to_string(getpid()) + "/exe";
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw Error(command + ": cannot be started");
  std::array<char, 256> line{};
  std::string last;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) last = line.data();
  const int status = pclose(pipe);
  char* end = nullptr;
  const double value = std::strtod(last.c_str(), &end);
  if (status != 0 || end == last.c_str()) throw Error(command + ": failed; it said: " + last);
  return value;
}

namespace {

std::vector<double> ratios(const Rounds& rounds) {
  std::vector<double> values;
  for (size_t r = 0; r < rounds.ours.size(); ++r) {
    values.push_back(rounds.usual[r] / rounds.ours[r]);
  }
  return values;
}

}  // namespace

double Rounds::ratio() const { return median(usual) / median(ours); }

double Rounds::lowest_ratio() const {
  const auto values = ratios(*this);
  return *std::min_element(values.begin(), values.end());
}

double Rounds::highest_ratio() const {
  const auto values = ratios(*this);
  return *std::max_element(values.begin(), values.end());
}

Rounds alternate(const std::vector<std::string>& ours, const std::vector<std::string>& usual,
                 int rounds) {
  Rounds result;
  for (int round = 0; round < rounds; ++round) {
    result.ours.push_back(run_self(ours));
    result.usual.push_back(run_self(usual));
    std::fprintf(stderr, "round %d of %d: %.3f s, usual %.3f s\n", round + 1, rounds,
                 result.ours.back(), result.usual.back());
  }
  return result;
}

}  // namespace lathe::study
