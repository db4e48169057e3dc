// The running histogram of AMCT's HFMG: over the range seen so far, every run's values counted on the joined range. The
// C++ twin of HfmgObserver in engine/calibration/observers/hfmg.ts; after AMCT, custom_op/hfmg/hfmg_impl.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loops.h"

namespace observer {

class GluttonHistogram {
 public:
  explicit GluttonHistogram(size_t bins) : counts_(bins) {}

  void add(const float *x, size_t count, const Extremes &extremes);

  const std::vector<double> &counts() const { return counts_; }
  uint64_t total() const { return total_; }
  double min() const { return min_; }
  double max() const { return max_; }

 private:
  std::vector<double> counts_;
  double min_ = 0;
  double max_ = 0;
  uint64_t total_ = 0;
};

}  // namespace observer
