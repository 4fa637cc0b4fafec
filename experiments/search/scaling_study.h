#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "search/space/scaling.h"

namespace lathe::study {

/// One EfficientNet: what the paper and the reference implementation say of it, and what compound
/// scaling makes of B0.
struct ScaledNetwork {
  std::string name;
  search::ScaleFactors factors;  ///< as published; resolution over B0's 224 pixels
  int64_t resolution = 0;        ///< pixels
  double paper_params = 0.0;     ///< Tan and Le, 2019, table 2: two digits
  double paper_macs = 0.0;       ///< the same
  int64_t reference_params = 0;  ///< exact, as the documentation of torchvision's port lists them
  int64_t params = 0;            ///< here
  int64_t macs = 0;              ///< here
};

/// Returns B0 to B7 as scaled from the architecture of `space`
/// (configs/spaces/efficientnet_224.yaml) that is EfficientNet-B0. \throws ConfigError, DataError
/// if the space cannot be read or does not hold B0.
std::vector<ScaledNetwork> scale_efficientnet(const std::filesystem::path& space);

/// Compares B0 to B7 so made with the paper: a Markdown table and what its deviations are due to
/// on the screen, figures in a file; `search_study scaling --help` lists the options. Returns the
/// exit status.
int scaling_main(int argc, char** argv);

}  // namespace lathe::study
