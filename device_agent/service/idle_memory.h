#pragma once

namespace lathe::device {

/// Gives memory back that an agent without work does not need: free pages of the heap, and those
/// pages of program and libraries that are as on disk. The kernel keeps the latter as cache, which
/// it may drop, and maps what is used again.
void release_idle_memory();

}  // namespace lathe::device
