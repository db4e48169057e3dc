// A histogram as something the quantization error of a grid can be computed of: values lie evenly within each bin. The C++
// twin of BinnedDistribution in engine/calibration/observers/distribution.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search_loops.h"

namespace observer {

/** `counts[i]` values in [low + i width, low + (i + 1) width). */
struct Bins {
  const double *counts;
  size_t used;
  double low;
  double width;
  double min;
  double max;
  double total;
};

class Distribution {
 public:
  explicit Distribution(const Bins &bins);

  double total() const { return bins_.total; }
  double min() const { return bins_.min; }
  double max() const { return bins_.max; }
  double sum() const { return sum_; }
  /** Number and sum of the values below a point. */
  struct Part {
    double count;
    double sum;
  };
  Part below(double x) const;
  /** The rank-th smallest value, from 1 to total; within one bin. */
  double orderStatistic(double rank) const;
  /**
   * Sum of squared differences when every value becomes the centre of its cell: cell k is [low + k step, low + (k + 1)
   * step), the first and the last one reach to infinity.
   */
  double cellError(double low, double step, int cells) const {
    return observer::cellError({entries_.data(), static_cast<int32_t>(bins_.used), bins_.low, bins_.width}, square_, low,
                               step, cells);
  }

 private:
  Bins bins_;
  std::vector<BinEntry> entries_;
  double sum_ = 0;
  double square_ = 0;
};

}  // namespace observer
