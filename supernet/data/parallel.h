#pragma once

#include <cstdint>
#include <functional>

namespace lathe::supernet {

/// Calls `work(i)` for i in [0, count) on all cores that this process may use, in no certain order.
/// \throws what the call of the lowest index threw, after all running calls have ended; later ones
/// are not begun.
void for_each_in_parallel(int64_t count, const std::function<void(int64_t index)>& work);

}  // namespace lathe::supernet
