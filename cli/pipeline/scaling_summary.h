#pragma once

#include <optional>

#include "cli/report/scaling.h"
#include "search/strategy/scaling_family.h"

namespace lathe::cli {

/// Returns what compound scaling found, for the report; nothing for other strategies.
std::optional<report::Scaling> scaling_of(const std::optional<search::ScalingFamily>& family);

}  // namespace lathe::cli
