// A histogram whose range grows with the data and never loses a count: the C++ twin of
// engine/calibration/observers/histogram.ts, count for count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loops.h"

namespace observer {

/** Room for the counters of one thread; shared by all histograms of a session. All zero between calls. */
using Counters = std::vector<uint32_t>;

/** The smallest power of two with which [min, max] fits into `capacity` aligned bins. */
double binWidth(double min, double max, size_t capacity);

class Histogram {
 public:
  explicit Histogram(size_t capacity) : counts_(capacity) {}

  size_t capacity() const { return counts_.size(); }
  uint64_t total() const { return total_; }
  double min() const { return min_; }
  double max() const { return max_; }
  double width() const { return width_; }
  /** Index of the first bin: it starts at first() * width(). */
  int64_t first() const { return first_; }
  /** Bins in use. */
  size_t used() const;
  const std::vector<uint64_t> &counts() const { return counts_; }

  /** Makes room for values in [min, max]; whole bins merge where the range grows. */
  void cover(double min, double max);
  /** Where values are counted; after cover(). */
  BinGrid grid() const { return {1 / width_, first_}; }
  /** Takes `count` values, counted on grid(), out of a thread's counters, and clears them. All lie in [min, max]. */
  void take(Counters &counters, uint64_t count, double min, double max);
  /** All of it on the calling thread. @param extremes Those of the values. */
  void add(const float *x, size_t count, const Extremes &extremes, Counters &counters);

 private:
  std::vector<uint64_t> counts_;
  int64_t first_ = 0;
  double width_ = 0;
  double min_ = 0;
  double max_ = 0;
  bool empty_ = true;
  uint64_t total_ = 0;
};

}  // namespace observer
