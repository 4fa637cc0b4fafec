#pragma once

#include <string>
#include <vector>

#include "cli/report/run_summary.h"

namespace lathe::cli {

/// The device whose speed the table, the role "fastest" and the rule of that name tell: whose
/// latency, else energy, the search minimised first; the first one if it did neither; "" without
/// any.
std::string speed_device(const report::RunSummary& summary);

/// Returns the indices in `summary.front` that `rule` picks:
///   all                    every exported network
///   best | fastest | knee  of the networks that hold every constraint as confirmed
///   net-02                 the network of that id
///   latency@pi4<=20ms      the most accurate within the bound (confirmed latency, upper end of the
///                          interval) that holds every constraint, too; params<=2M, macs<=...,
///                          peak_memory<=..., model_size<=... likewise
///   accuracy>=0.9          the fastest that reaches it (on the validation split: test is not for
///                          choosing)
/// \throws ConfigError if the rule is not one of these, or no network satisfies it: with the
/// nearest one's value.
std::vector<size_t> pick_networks(const report::RunSummary& summary, const std::string& rule);

}  // namespace lathe::cli
