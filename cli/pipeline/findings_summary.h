#pragma once

#include <optional>
#include <vector>

#include "cli/report/findings.h"
#include "search/strategy/controller.h"

namespace lathe::cli {

/// Returns what racing saved, for the report; nothing for a search that does not race.
std::optional<report::Racing> racing_of(const search::SearchOptions& options,
                                        const search::RacingReport& racing);

/// Returns how the strategy's models did, for the report; nothing for strategies without models.
std::optional<std::vector<report::LearnedMetric>> learned_of(
    const std::vector<search::LearnedMetric>& learned);

}  // namespace lathe::cli
