#pragma once

namespace lathe::study {

/// What a teacher adds to fine-tuning the networks that a run chose; see
/// experiments/compression/README.md.
int distillation_main(int argc, char** argv);

}  // namespace lathe::study
