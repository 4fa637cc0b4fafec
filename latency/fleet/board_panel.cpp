#include "latency/fleet/board_panel.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace lathe::latency {

void BoardPanel::report(const std::string& address, double reference_ms) {
  if (!(reference_ms > 0.0)) {
    throw InvariantError("BoardPanel::report: " + address + ": reference_ms = " +
                         std::to_string(reference_ms) + ", expected a positive time");
  }
  values_[address] = reference_ms;
}

bool BoardPanel::agree(double a, double b) const {
  return tolerance_ <= 0.0 || std::max(a, b) <= (1.0 + tolerance_) * std::min(a, b);
}

double BoardPanel::consensus_ms() const {
  double best_ms = 0.0;
  int most = 0;
  for (const auto& [address, value] : values_) {
    int friends = 0;
    for (const auto& [other, other_value] : values_) friends += agree(value, other_value) ? 1 : 0;
    if (friends > most || (friends == most && value < best_ms)) {
      most = friends;
      best_ms = value;
    }
  }
  return best_ms;
}

std::optional<double> BoardPanel::disagrees_with(const std::string& address) const {
  const auto found = values_.find(address);
  if (found == values_.end()) return std::nullopt;
  const double expected_ms = consensus_ms();
  if (agree(found->second, expected_ms)) return std::nullopt;
  return expected_ms;
}

double BoardPanel::reference_ms(const std::string& address) const {
  const auto found = values_.find(address);
  return found == values_.end() ? 0.0 : found->second;
}

}  // namespace lathe::latency
