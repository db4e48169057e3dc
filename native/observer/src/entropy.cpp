#include "entropy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace observer {
namespace {

/** Bins of magnitudes at most, NVIDIA's default. */
constexpr size_t kMagnitudeBins = 2048;
/** Sums up to each bin of what the divergence needs. */
struct Prefix {
  std::vector<double> mass;
  std::vector<uint32_t> filled;
  std::vector<double> entropy;

  explicit Prefix(const std::vector<double> &counts)
      : mass(counts.size() + 1), filled(counts.size() + 1), entropy(counts.size() + 1) {
    for (size_t index = 0; index < counts.size(); ++index) {
      const double count = counts[index];
      mass[index + 1] = mass[index] + count;
      filled[index + 1] = filled[index] + (count > 0 ? 1u : 0u);
      entropy[index + 1] = entropy[index] + (count > 0 ? count * std::log(count) : 0);
    }
  }
};

/** @param shift log2 of the number of levels */
double divergenceOf(const std::vector<double> &counts, const Prefix &prefix, const std::vector<double> &logarithms,
                    size_t kept, unsigned shift) {
  const double total = prefix.mass[counts.size()];
  const double inside = prefix.mass[kept];
  const double outside = total - inside;
  const double last = counts[kept - 1];
  // A value that Q holds impossible: infinite divergence.
  if (inside == 0 || (last == 0 && outside > 0)) return std::numeric_limits<double>::infinity();
  const double end = last + outside;
  double logP = prefix.entropy[kept - 1];
  if (end > 0) logP += end * std::log(end);
  const double logQ = groupEntropy({prefix.mass.data(), prefix.filled.data(), logarithms.data(), kept, shift}, outside);
  return (logP - logQ) / total - std::log(total) + std::log(inside);
}

/** Counts of |x| in bins of equal width from 0. */
std::vector<double> magnitudes(const Bins &bins) {
  const int64_t first = std::llround(bins.low / bins.width);
  const int64_t count = static_cast<int64_t>(bins.used);
  std::vector<double> folded(static_cast<size_t>(std::max<int64_t>({-first, first + count, 1})));
  for (int64_t index = 0; index < count; ++index) {
    const int64_t bin = first + index;
    folded[static_cast<size_t>(bin < 0 ? -bin - 1 : bin)] += bins.counts[index];
  }
  return folded;
}

}  // namespace

size_t entropyBins(std::vector<double> counts, unsigned levelBits) {
  const size_t levels = size_t{1} << levelBits;
  if (counts.size() <= levels) return counts.size();
  // The bin of zero is a spike in most networks and says nothing about the limit.
  counts[0] = counts[1];
  const Prefix prefix(counts);
  std::vector<double> logarithms((counts.size() >> levelBits) + 3);
  for (size_t number = 1; number < logarithms.size(); ++number) {
    logarithms[number] = std::log(static_cast<double>(number));
  }
  size_t best = counts.size();
  double least = std::numeric_limits<double>::infinity();
  for (size_t kept = levels; kept <= counts.size(); ++kept) {
    const double divergence = divergenceOf(counts, prefix, logarithms, kept, levelBits);
    if (divergence <= least) {
      least = divergence;
      best = kept;
    }
  }
  return best;
}

Range klRange(const Bins &bins, const Grid &grid) {
  if (bins.total == 0) return {0, 0};
  const bool oneSided = !grid.symmetric && (bins.min >= 0 || bins.max <= 0);
  const unsigned levelBits = static_cast<unsigned>(oneSided ? grid.bits : grid.bits - 1);
  size_t factor = 1;
  const size_t used = magnitudes(bins).size();
  while (static_cast<double>(used) / static_cast<double>(factor) > kMagnitudeBins) factor *= 2;
  const CoarserBins view(bins, factor);
  std::vector<double> counts = magnitudes(view.bins());
  const size_t all = counts.size();
  const size_t kept = entropyBins(std::move(counts), levelBits);
  if (kept == all) return {bins.min, bins.max};
  const double limit = static_cast<double>(kept) * view.bins().width;
  return {std::max(bins.min, -limit), std::min(bins.max, limit)};
}

}  // namespace observer
