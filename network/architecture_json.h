#pragma once

#include <string>

#include "network/network.h"

namespace lathe::network {

/// Returns the network as readable JSON: format version, every node with operator, attributes,
/// inputs, parameters and shape. Read back by network_from_json.
std::string to_json(const Network& network);

/// \throws DataError naming the node and field for anything malformed, or a newer format version.
Network network_from_json(const std::string& text);

}  // namespace lathe::network
