#pragma once

#include <cstddef>
#include <string>

namespace lathe::network {

/// Refuses a file whose messages would take many times its size in memory once parsed: everything
/// but the initialisers' values must be at most `limit` bytes. \throws DataError with both numbers.
void check_graph_bytes(const std::string& bytes, size_t limit);

}  // namespace lathe::network
