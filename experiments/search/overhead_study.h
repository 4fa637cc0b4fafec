#pragma once

namespace lathe::study {

/// Runs searches with evaluators that answer at once and says what the controller itself needs a
/// candidate, and how much memory, as its archive grows; `search_study overhead --help` lists the
/// options. Returns the exit status.
int overhead_main(int argc, char** argv);

}  // namespace lathe::study
