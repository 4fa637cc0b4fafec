#pragma once

namespace lathe::study {

/// Searches NAS-Bench-201 for two devices with a latency bound each: how near the joint front a
/// search that knows both comes, and what the winners of searches that know one alone violate on
/// the other; `search_study devices --help` lists the options. Returns the exit status.
int devices_main(int argc, char** argv);

}  // namespace lathe::study
