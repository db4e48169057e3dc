// What is kept of one observed tensor: the range of every run, a histogram, AMCT's histogram, or the values themselves
// while they are few. Memory does not grow with the data but by two numbers per run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "glutton.h"
#include "histogram.h"

namespace observer {

struct Wanted {
  /** Bins of the growing histogram; 0 for none. */
  size_t bins = 0;
  /** Bins of AMCT's histogram; 0 for none. */
  size_t gluttonBins = 0;
  /** Values kept at most, instead of a histogram; beyond it they move into one of `bins` bins. */
  size_t keep = 0;
};

/** Runs body(argument, 0) to body(argument, parts - 1), on several threads where there are some. */
struct Parallel {
  virtual void run(size_t parts, void (*body)(void *argument, size_t part), void *argument) const = 0;

 protected:
  ~Parallel() = default;
};

/** Counters for every thread that may count at the same time. */
struct Scratch {
  explicit Scratch(size_t threads) : counters(threads) {}
  std::vector<Counters> counters;
};

class TensorStatistics {
 public:
  explicit TensorStatistics(const Wanted &wanted);

  /** Takes the values of one run. A tensor with a NaN or infinity is only noted, see firstBad(). */
  void add(const float *x, size_t count, Scratch &scratch, const Parallel &parallel);

  /** Smallest and largest value of every run that had values, in order. */
  const std::vector<Extremes> &runs() const { return runs_; }
  /** The first value of all that was not finite; null when there was none. */
  const float *firstBad() const { return bad_ ? &badValue_ : nullptr; }
  /** Null while the values are kept, or when none is wanted. */
  const Histogram *histogram() const { return keeping_ ? nullptr : histogram_.get(); }
  const GluttonHistogram *glutton() const { return glutton_.get(); }
  /** Null when values are not, or no longer, kept. */
  const std::vector<float> *kept() const { return keeping_ ? &kept_ : nullptr; }

 private:
  void count(const float *x, size_t count, const Extremes &extremes, Scratch &scratch, const Parallel &parallel);

  std::vector<Extremes> runs_;
  std::unique_ptr<Histogram> histogram_;
  std::unique_ptr<GluttonHistogram> glutton_;
  std::vector<float> kept_;
  size_t keep_;
  bool keeping_;
  bool bad_ = false;
  float badValue_ = 0;
};

}  // namespace observer
