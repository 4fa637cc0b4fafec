#pragma once

namespace lathe::study {

/// Searches NAS-Bench-201 with and without racing on a sampled validation split and a noisy board:
/// what racing saves, whether the fronts are equal, and whether searches killed at random moments
/// end like uninterrupted ones; `search_study racing --help` lists the options. Returns the exit
/// status.
int racing_main(int argc, char** argv);

}  // namespace lathe::study
