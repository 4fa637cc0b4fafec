#pragma once

#include <string>

#include "cli/report/scaling.h"

namespace lathe::report {

/// Returns the family of compound scaling for a terminal: the fit, a row a phi with its factors,
/// predicted and measured cost and accuracy, and what the rows do not say.
std::string scaling_table(const Scaling& scaling);

}  // namespace lathe::report
