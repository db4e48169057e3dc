#include "glutton.h"

#include <algorithm>
#include <cmath>

namespace observer {
namespace {

constexpr double kFloat32Epsilon = 1.192092896e-7;

/** torch.histc: equal bins from min to max, the last one closed, positions in float32. */
std::vector<double> histc(const float *x, size_t count, float min, float max, size_t bins) {
  std::vector<uint32_t> counts(bins);
  const float extent = max - min;
  if (!(extent > 0)) {
    counts[bins >> 1] = static_cast<uint32_t>(count);
  } else {
    const float scale = static_cast<float>(bins);
    const int64_t last = static_cast<int64_t>(bins) - 1;
    for (size_t i = 0; i < count; ++i) {
      const float position = ((x[i] - min) * scale) / extent;
      // Values near the largest float overflow: they belong to the last bin.
      const int64_t bin = position < scale ? static_cast<int64_t>(position) : last;
      ++counts[static_cast<size_t>(bin)];
    }
  }
  return {counts.begin(), counts.end()};
}

bool sameEnd(double a, double b) {
  return std::abs(a - b) <= kFloat32Epsilon * std::max({1.0, std::abs(a), std::abs(b)});
}

/** Moves counts over one range into bins over a wider one; a bin that spans two is split evenly. */
void moveCounts(const std::vector<double> &from, double fromLow, double fromWidth, std::vector<double> &to, double toLow,
                double toWidth) {
  const double last = static_cast<double>(to.size() - 1);
  for (size_t index = 0; index < from.size(); ++index) {
    const double count = from[index];
    if (count == 0) continue;
    const double begin = fromLow + static_cast<double>(index) * fromWidth;
    const double end = begin + fromWidth;
    const double low = std::min(last, std::max(0.0, std::floor((begin - toLow) / toWidth)));
    const double high = std::max(low, std::min(last, std::floor((end - toLow) / toWidth)));
    if (low == high) {
      to[static_cast<size_t>(low)] += count;
      continue;
    }
    const double border = toLow + (low + 1) * toWidth;
    const double inLow = fromWidth > 0 ? std::trunc((count * (border - begin)) / fromWidth) : count;
    to[static_cast<size_t>(low)] += inLow;
    to[static_cast<size_t>(high)] += count - inLow;
  }
}

}  // namespace

void GluttonHistogram::add(const float *x, size_t count, const Extremes &extremes) {
  if (count == 0) return;
  const double oldMin = min_;
  const double oldMax = max_;
  const bool first = total_ == 0;
  min_ = first ? extremes.min : std::min<double>(extremes.min, oldMin);
  max_ = first ? extremes.max : std::max<double>(extremes.max, oldMax);
  std::vector<double> counts = histc(x, count, static_cast<float>(min_), static_cast<float>(max_), counts_.size());
  const double bins = static_cast<double>(counts_.size());
  if (!first && sameEnd(oldMin, min_) && sameEnd(oldMax, max_)) {
    for (size_t index = 0; index < counts.size(); ++index) counts[index] += counts_[index];
  } else if (!first) {
    moveCounts(counts_, oldMin, (oldMax - oldMin) / bins, counts, min_, (max_ - min_) / bins);
  }
  counts_ = std::move(counts);
  total_ += count;
}

}  // namespace observer
