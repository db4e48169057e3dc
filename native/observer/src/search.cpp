#include "search.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <thread>

#include "entropy.h"

namespace observer {
namespace {

constexpr double kFloat32Epsilon = 1.192092896e-7;

double fround(double x) { return static_cast<double>(static_cast<float>(x)); }

/** Nearest integer, ties to even: the rounding mode that programs start with. */
double roundHalfEven(double x) { return std::nearbyint(x); }

struct ScaleOffset {
  double scale;
  double offset;
};

ScaleOffset symmetricScale(const Range &range, int bits) {
  const double negative = std::abs(fround(range.min));
  const double positive = std::abs(fround(range.max));
  const double half = std::ldexp(1.0, bits - 1);
  const double scale = negative > positive ? fround(negative / half) : fround(positive / (half - 1));
  return {scale < kFloat32Epsilon ? 1 : scale, 0};
}

ScaleOffset asymmetricScale(const Range &range, int bits) {
  const double low = fround(std::min(range.min, 0.0));
  const double high = fround(std::max(range.max, 0.0));
  const double lowest = -std::ldexp(1.0, bits - 1);
  const double scale = fround(fround(high - low) / (std::ldexp(1.0, bits) - 1));
  if (scale < kFloat32Epsilon) return {1, lowest};
  return {scale, roundHalfEven(fround(lowest - fround(low / scale)))};
}

/** The part of the error that clipping causes at least, from number and mean of the clipped values at either end. */
double clippingError(const Distribution &distribution, double low, double high) {
  const auto squared = [](double count, double excess) { return count > 0 ? excess * excess / count : 0; };
  const auto [lowCount, lowSum] = distribution.below(low);
  const auto [highCount, highSum] = distribution.below(high);
  const double count = distribution.total() - highCount;
  return squared(lowCount, lowCount * low - lowSum) + squared(count, distribution.sum() - highSum - count * high);
}

double weightedError(const Distribution &distribution, const Range &range, const Grid &grid, double clippingWeight) {
  const auto [scale, offset] = grid.symmetric ? symmetricScale(range, grid.bits) : asymmetricScale(range, grid.bits);
  const double lowest = -std::ldexp(1.0, grid.bits - 1) - offset;
  const int cells = 1 << grid.bits;
  const double error = distribution.cellError((lowest - 0.5) * scale, scale, cells);
  if (clippingWeight == 1) return error;
  const double low = lowest * scale;
  return error + (clippingWeight - 1) * clippingError(distribution, low, low + (cells - 1) * scale);
}

// ---- mse ----

constexpr double kSmallestShare = 1e-3;
constexpr int kCoarseSteps = 40;
constexpr int kFineSteps = 5;
constexpr int kRefinements = 3;
constexpr int kMaxRounds = 3;

struct Factor {
  double factor;
  double error;
};

/** Ratios of the search, and their powers as JavaScript's `**` has them to within its last bit. */
template <class Error>
Factor bestFactor(const Error &error) {
  Factor best{1, error(1.0)};
  const auto attempt = [&](double factor) {
    const double found = error(factor);
    if (found < best.error) best = {factor, found};
  };
  double ratio = std::pow(kSmallestShare, 1.0 / (kCoarseSteps - 1));
  for (int step = 1; step < kCoarseSteps; ++step) attempt(std::pow(ratio, step));
  for (int round = 0; round < kRefinements; ++round) {
    const double centre = best.factor;
    const double finer = std::pow(ratio, 1.0 / kFineSteps);
    for (int step = -kFineSteps + 1; step < kFineSteps; ++step) {
      const double factor = centre * std::pow(finer, step);
      if (step != 0 && factor <= 1) attempt(factor);
    }
    ratio = finer;
  }
  return best;
}

// ---- ifmr ----

double trimmedRank(double total, double percentile) {
  return 1 - percentile < kFloat32Epsilon ? 1 : std::max(1.0, total - std::trunc(percentile * total));
}

struct CandidateGrid {
  double scale;
  double low;
};

CandidateGrid candidateGrid(double candidate, double min, bool negative, const Grid &grid) {
  const double half = std::ldexp(1.0, grid.bits - 1);
  const double scale = grid.symmetric ? fround(candidate / (negative ? half : half - 1))
                                      : fround(fround(candidate - min) / (std::ldexp(1.0, grid.bits) - 1));
  return {scale < kFloat32Epsilon ? 1 : scale, grid.symmetric ? -candidate : min};
}

double reconstructionError(const Distribution &distribution, double low, double high, double scale) {
  const double first = roundHalfEven(fround(low / scale));
  const double last = roundHalfEven(fround(high / scale));
  return distribution.cellError((first - 0.5) * scale, scale, static_cast<int>(last - first + 1));
}

// ---- hfmg ----

constexpr size_t kLeftOver = 4;
constexpr double kStepDivisor = 100000;

struct Window {
  int64_t left;
  int64_t right;
};

std::vector<Window> searchWindows(const Bins &bins) {
  const double step = std::max(std::ceil(bins.total / kStepDivisor), 1.0);
  const int64_t enough = static_cast<int64_t>((bins.used + kLeftOver - 1) / kLeftOver);
  std::vector<Window> windows;
  int64_t left = 0;
  int64_t right = static_cast<int64_t>(bins.used) - 1;
  while (right - left > enough) {
    int64_t nextLeft = left;
    int64_t nextRight = right;
    for (double sum = 0; nextLeft < right && sum < step; ++nextLeft) sum += bins.counts[nextLeft];
    for (double sum = 0; nextRight > left && sum < step; --nextRight) sum += bins.counts[nextRight];
    if (nextLeft - left > right - nextRight) {
      left = nextLeft;
    } else {
      right = nextRight;
    }
    windows.push_back({left, right});
  }
  return windows;
}

SearchResult search(const SearchTask &task) {
  SearchResult result;
  const Distribution distribution(task.bins);
  if (task.wantsKl) result.kl = klRange(task.bins, task.grid);
  if (task.wantsIfmr) result.ifmr = ifmrRange(distribution, task.ifmr, task.grid);
  if (task.wantsHfmg) result.hfmg = hfmgRange(CoarserBins(task.bins, task.hfmgFactor).bins(), task.grid);
  if (task.wantsMse) result.mse = mseRange(distribution, task.grid);
  if (task.wantsWeighted) result.weighted = mseRange(distribution, task.grid, task.clippingWeight);
  return result;
}

}  // namespace

CoarserBins::CoarserBins(const Bins &bins, size_t factor) : bins_(bins) {
  if (factor <= 1) return;
  const double wider = static_cast<double>(factor);
  const double shift = std::round(bins.low / bins.width);
  const double first = std::floor(shift / wider);
  const double last = std::floor((shift + static_cast<double>(bins.used) - 1) / wider);
  counts_.resize(bins.used > 0 ? static_cast<size_t>(last - first + 1) : 0);
  for (size_t index = 0; index < bins.used; ++index) {
    const double target = std::floor((shift + static_cast<double>(index)) / wider) - first;
    counts_[static_cast<size_t>(target)] += bins.counts[index];
  }
  bins_.counts = counts_.data();
  bins_.used = counts_.size();
  bins_.width = bins.width * wider;
  bins_.low = first * bins_.width;
}

Range mseRange(const Distribution &distribution, const Grid &grid, double clippingWeight) {
  if (distribution.total() == 0) return {0, 0};
  const double min = distribution.min();
  const double max = distribution.max();
  const auto errorOf = [&](double low, double high) {
    return weightedError(distribution, {low, high}, grid, clippingWeight);
  };
  // Both ends together: all there is to search when symmetric, else the start of the search.
  const Factor joint = bestFactor([&](double factor) { return errorOf(min * factor, max * factor); });
  Range range{min * joint.factor, max * joint.factor};
  if (grid.symmetric || min >= 0 || max <= 0) return range;
  double least = joint.error;
  for (int round = 0; round < kMaxRounds; ++round) {
    const double low = range.min;
    const Factor upper = bestFactor([&](double factor) { return errorOf(low, max * factor); });
    const double high = max * upper.factor;
    const Factor lower = bestFactor([&](double factor) { return errorOf(min * factor, high); });
    if (!(lower.error < least)) break;
    least = lower.error;
    range = {min * lower.factor, high};
  }
  return range;
}

Range ifmrRange(const Distribution &distribution, const IfmrOptions &options, const Grid &grid) {
  const double total = distribution.total();
  if (total == 0) return {0, 0};
  const double highest = distribution.orderStatistic(total + 1 - trimmedRank(total, options.maxPercentile));
  const double lowest = distribution.orderStatistic(trimmedRank(total, options.minPercentile));
  const double min = std::min(0.0, lowest);
  const double positive = std::max(0.0, highest);
  const bool negative = grid.symmetric && positive < -min;
  const double start = grid.symmetric ? std::max(positive, -min) : positive;
  // What binary fractions add to (end - start) / step must not add a candidate.
  const int candidates = std::max(1, static_cast<int>(std::ceil((options.end - options.start) / options.step - 1e-6)));
  Range best{0, 0};
  double leastError = std::numeric_limits<double>::infinity();
  for (int index = 0; index < candidates; ++index) {
    const double factor = fround(options.start + index * options.step);
    const double candidate = fround(start * factor);
    const auto [scale, low] = candidateGrid(candidate, min, negative, grid);
    const double error = reconstructionError(distribution, low, candidate, scale);
    if (error < leastError) {
      leastError = error;
      best = negative ? Range{-candidate, positive * factor} : Range{low, candidate};
    }
  }
  return best;
}

Range hfmgRange(const Bins &bins, const Grid &grid) {
  if (bins.total == 0) return {0, 0};
  if (!(bins.width > 0)) return {bins.min, bins.max};
  const Distribution distribution(bins);
  const int cells = 1 << grid.bits;
  Window best{0, static_cast<int64_t>(bins.used) - 1};
  double leastError = std::numeric_limits<double>::infinity();
  for (const Window &window : searchWindows(bins)) {
    const double step = bins.width * static_cast<double>(window.right - window.left + 1) / cells;
    const double low = bins.low + static_cast<double>(window.left) * bins.width;
    const double error = step < kFloat32Epsilon ? 0 : distribution.cellError(low, step, cells);
    if (error < leastError) {
      leastError = error;
      best = window;
    }
  }
  const auto edge = [&](int64_t bin) {
    return fround(bins.low + fround(static_cast<double>(bin) * fround(bins.width)));
  };
  return {edge(best.left), edge(best.right + 1)};
}

std::vector<SearchResult> searchAll(const std::vector<SearchTask> &tasks, unsigned threads) {
  std::vector<SearchResult> results(tasks.size());
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    try {
      for (size_t index = next++; index < tasks.size(); index = next++) results[index] = search(tasks[index]);
    } catch (const std::exception &) {
      failed = true;
    }
  };
  const unsigned wanted = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  const size_t helpers = std::min<size_t>(wanted, tasks.size());
  std::vector<std::thread> others;
  for (size_t helper = 0; helper < helpers; ++helper) others.emplace_back(work);
  for (std::thread &other : others) other.join();
  if (failed) throw std::bad_alloc();
  return results;
}

}  // namespace observer
