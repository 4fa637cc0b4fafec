#pragma once

namespace lathe::study {

/// Searches NAS-Bench-201 with boards that take a fixed time for every measurement, and says which
/// share of that time 1, 4 and 16 of them are busy; `search_study boards --help` lists the
/// options. Returns the exit status.
int boards_main(int argc, char** argv);

}  // namespace lathe::study
