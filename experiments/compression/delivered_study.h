#pragma once

namespace lathe::study {

/// What a finished run delivers against a baseline that its report compares with: how many times
/// faster and smaller, at how many points of test accuracy.
int delivered_main(int argc, char** argv);

}  // namespace lathe::study
