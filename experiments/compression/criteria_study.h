#pragma once

namespace lathe::study {

/// The program `compression_study criteria`: what is left of a network's accuracy when a share of
/// its channels is removed by each criterion, with and without fine-tuning. Returns the exit
/// status.
int criteria_main(int argc, char** argv);

}  // namespace lathe::study
