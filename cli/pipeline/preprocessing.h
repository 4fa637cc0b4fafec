#pragma once

#include <string>

#include "network/network.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// Returns preprocessing.json: what a program must do with an image before a network of this
/// `input` [1, channels, height, width] sees it, and the classes of its outputs.
std::string preprocessing_json(const supernet::DataSummary& data, const network::Shape& input);

}  // namespace lathe::cli
