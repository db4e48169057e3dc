#include "distribution.h"

#include <algorithm>
#include <cmath>

namespace observer {

Distribution::Distribution(const Bins &bins) : bins_(bins), entries_(bins.used + 1) {
  double below = 0;
  for (size_t index = 0; index < bins.used; ++index) {
    const double count = bins.counts[index];
    const double centre = bins.low + (static_cast<double>(index) + 0.5) * bins.width;
    entries_[index] = {count, below, sum_};
    below += count;
    sum_ += count * centre;
    // Mean square of an even spread over the bin: centre^2 + width^2 / 12.
    square_ += count * (centre * centre + (bins.width * bins.width) / 12);
  }
  entries_[bins.used] = {0, below, sum_};
}

Distribution::Part Distribution::below(double x) const {
  const double position = (x - bins_.low) / bins_.width;
  const double index = std::floor(position);
  if (index < 0) return {0, 0};
  if (index >= static_cast<double>(bins_.used)) return {bins_.total, sum_};
  const BinEntry &entry = entries_[static_cast<size_t>(index)];
  const double inside = entry.count * (position - index);
  return {entry.below + inside, entry.sum + inside * 0.5 * (bins_.low + index * bins_.width + x)};
}

double Distribution::orderStatistic(double rank) const {
  if (rank <= 1) return bins_.min;
  if (rank >= bins_.total) return bins_.max;
  const auto found = std::partition_point(entries_.begin() + 1, entries_.end() - 1,
                                          [rank](const BinEntry &next) { return next.below < rank; });
  const size_t bin = static_cast<size_t>(found - entries_.begin()) - 1;
  const double share = (rank - 0.5 - entries_[bin].below) / entries_[bin].count;
  return std::min(bins_.max, std::max(bins_.min, bins_.low + (static_cast<double>(bin) + share) * bins_.width));
}

}  // namespace observer
