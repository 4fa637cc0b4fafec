#pragma once

#include "core/progress.h"
#include "network/network.h"
#include "supernet/data/batches.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// Trains a standalone model on the labels, or half on them and half on the teacher's outputs where
/// one is given. Its batch norm statistics are not touched: recalibrate afterwards. \throws
/// DataError if the loss stops being finite.
network::Model fine_tune_model(const network::Model& model, const network::Model* teacher,
                               const Batches& images, const SupernetOptions& options,
                               const Supernet::FineTuneOptions& tuning, at::Device device,
                               Progress& progress);

}  // namespace lathe::supernet
