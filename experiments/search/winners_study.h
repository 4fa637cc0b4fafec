#pragma once

namespace lathe::study {

/// Searches NAS-Bench-201 under latency bounds on a noisy board, and says which share of the
/// reported winners truly violates its bound: believing single medians, by upper confidence bounds,
/// and confirmed by longer measurements; `search_study winners --help` lists the options. Returns
/// the exit status.
int winners_main(int argc, char** argv);

}  // namespace lathe::study
