#pragma once

namespace lathe::study {

/// The program `supernet_study evaluation`: seconds to evaluate a generation of NSGA-II as a forest
/// against one candidate at a time the usual way, and whether accuracies equal those of evaluating
/// each alone. Returns the exit status.
int evaluation_main(int argc, char** argv);

}  // namespace lathe::study
