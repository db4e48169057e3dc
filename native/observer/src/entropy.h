// Entropy calibration, the C++ twin of engine/calibration/observers/kl.ts: after TensorRT as published by NVIDIA
// (pytorch-quantization, calib/histogram.py, _compute_amax_entropy).
#pragma once

#include <cstddef>
#include <vector>

#include "search.h"

namespace observer {

/** The number of leading bins of magnitudes to keep, for 2^levelBits levels. */
size_t entropyBins(std::vector<double> counts, unsigned levelBits);
Range klRange(const Bins &bins, const Grid &grid);

}  // namespace observer
