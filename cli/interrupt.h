#pragma once

namespace lathe::cli {

/// From now on the first SIGINT or SIGTERM asks the work to stop at its next safe point; a second
/// one ends the program at once (the run stays resumable either way).
void install_interrupt_handler();

/// True once the user asked to stop. Async-signal-safe and thread-safe.
bool interrupted();

}  // namespace lathe::cli
