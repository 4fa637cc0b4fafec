#pragma once

namespace lathe::study {

/// The program `supernet_study step`: seconds of a training step by the sandwich rule, lathe's
/// trainer against the same step written the usual way, and where lathe's time goes. Returns the
/// exit status.
int step_main(int argc, char** argv);

}  // namespace lathe::study
