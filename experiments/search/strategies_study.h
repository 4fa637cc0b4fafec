#pragma once

namespace lathe::study {

/// Searches NAS-Bench-201 with every strategy and says how near the true front each comes after so
/// many evaluations; `search_study strategies --help` lists the options. Returns the exit status.
int strategies_main(int argc, char** argv);

}  // namespace lathe::study
