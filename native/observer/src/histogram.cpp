#include "histogram.h"

#include <algorithm>
#include <cmath>

namespace observer {
namespace {

/** Exponent of the narrowest bin: 2^-149 is the smallest float32 above zero. */
constexpr int kSmallestExponent = -149;
/** Bins narrower than a float32 step of the largest value tell nothing more. */
constexpr int kMantissaBits = 24;
/** Up to this many values are counted without the detour over a thread's counters. */
constexpr size_t kFew = 1024;

int64_t binAt(double x, double width) { return static_cast<int64_t>(std::floor(x / width)); }

}  // namespace

double binWidth(double min, double max, size_t capacity) {
  const double largest = std::max(std::abs(min), std::abs(max));
  const double share = (max - min) / static_cast<double>(capacity);
  int exponent = kSmallestExponent;
  // ilogb of zero is the smallest integer: no arithmetic with it.
  if (share > 0) exponent = std::max(exponent, std::ilogb(share));
  if (largest > 0) exponent = std::max(exponent, std::ilogb(largest) - kMantissaBits);
  double width = std::ldexp(1.0, exponent);
  while (binAt(max, width) - binAt(min, width) + 1 > static_cast<int64_t>(capacity)) width *= 2;
  return width;
}

size_t Histogram::used() const {
  return total_ == 0 ? 0 : static_cast<size_t>(binAt(max_, width_) - first_ + 1);
}

void Histogram::cover(double min, double max) {
  if (!empty_ && min >= min_ && max <= max_) return;
  min_ = empty_ ? min : std::min(min, min_);
  max_ = empty_ ? max : std::max(max, max_);
  empty_ = false;
  const int64_t oldFirst = first_;
  const double oldWidth = width_;
  width_ = binWidth(min_, max_, capacity());
  first_ = binAt(min_, width_);
  if (total_ == 0 || (oldFirst == first_ && oldWidth == width_)) return;
  // Bins of a width that divides ours move whole into the bin that holds them.
  std::vector<uint64_t> moved(capacity());
  const double ratio = width_ / oldWidth;
  for (size_t index = 0; index < counts_.size(); ++index) {
    if (counts_[index] == 0) continue;
    const int64_t bin = binAt(static_cast<double>(oldFirst + static_cast<int64_t>(index)), ratio);
    moved[static_cast<size_t>(bin - first_)] += counts_[index];
  }
  counts_ = std::move(moved);
}

void Histogram::take(Counters &counters, uint64_t count, double min, double max) {
  const size_t begin = static_cast<size_t>(binAt(min, width_) - first_);
  const size_t end = static_cast<size_t>(binAt(max, width_) - first_) + 1;
  for (size_t table = 0; table < kTables; ++table) {
    uint32_t *const source = counters.data() + table * capacity();
    for (size_t bin = begin; bin < end; ++bin) counts_[bin] += source[bin];
    std::fill(source + begin, source + end, 0u);
  }
  total_ += count;
}

void Histogram::add(const float *x, size_t count, const Extremes &extremes, Counters &counters) {
  if (count == 0) return;
  cover(extremes.min, extremes.max);
  if (count <= kFew) {
    const BinGrid bins = grid();
    for (size_t i = 0; i < count; ++i) {
      ++counts_[static_cast<size_t>(detail::binOf(x[i], bins.perWidth) - bins.first)];
    }
    total_ += count;
    return;
  }
  if (counters.size() < kTables * capacity()) counters.resize(kTables * capacity());
  countBins(x, count, grid(), counters.data(), capacity());
  take(counters, count, extremes.min, extremes.max);
}

}  // namespace observer
