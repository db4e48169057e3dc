// The two inner loops of the searches, in steps that a compiler turns into vector instructions. search_loops_avx2.cpp
// compiles them once more for AVX2; both give the same results, bit for bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace observer {

/** What the error of a grid needs of a bin, side by side: its count, and count and sum of all bins before. */
struct BinEntry {
  double count;
  double below;
  double sum;
};

/** A histogram with an entry more than bins: the last one has everything before it. */
struct CellBins {
  const BinEntry *entries;
  int32_t used;
  double low;
  double width;
};

/** Groups of bins of one candidate of entropy calibration. */
struct LevelGroups {
  /** Values, and bins that have any, before each bin. */
  const double *mass;
  const uint32_t *filled;
  /** Logarithms of the whole numbers up to the largest group; 0 for 0. */
  const double *logarithms;
  size_t kept;
  unsigned shift;
};

namespace detail {

#define OBSERVER_LOOP inline __attribute__((always_inline))

/** Cells at a time: small arrays that stay in the first cache. */
constexpr int kBlock = 64;

/**
 * `square` less what cells explain of it: sum (x - c)^2 = sum x^2 - 2 c sum x + n c^2 over the cells, whose first term is
 * the same for every grid.
 */
OBSERVER_LOOP double cellError(const CellBins &bins, double square, double low, double step, int cells) {
  const double perWidth = 1 / bins.width;
  const double last = static_cast<double>(bins.used);
  double boundary[kBlock];
  double position[kBlock];
  double whole[kBlock];
  int32_t index[kBlock];
  BinEntry found[kBlock];
  double counts[kBlock + 1];
  double sums[kBlock + 1];
  double terms[kBlock];
  counts[0] = 0;
  sums[0] = 0;
  double error = square;
  for (int start = 0; start < cells; start += kBlock) {
    const int size = std::min(kBlock, cells - start);
    for (int i = 0; i < size; ++i) {
      boundary[i] = low + (start + i + 1) * step;
      const double at = (boundary[i] - bins.low) * perWidth;
      const double positive = at > 0 ? at : 0;
      position[i] = positive < last ? positive : last;
      index[i] = static_cast<int32_t>(position[i]);
      whole[i] = static_cast<double>(index[i]);
    }
    // The last cell reaches to infinity.
    if (start + size == cells) {
      index[size - 1] = bins.used;
      position[size - 1] = last;
      whole[size - 1] = last;
    }
    for (int i = 0; i < size; ++i) found[i] = bins.entries[index[i]];
    for (int i = 0; i < size; ++i) {
      const double inside = found[i].count * (position[i] - whole[i]);
      counts[i + 1] = found[i].below + inside;
      sums[i + 1] = found[i].sum + inside * 0.5 * (bins.low + whole[i] * bins.width + boundary[i]);
    }
    for (int i = 0; i < size; ++i) {
      const double centre = boundary[i] - 0.5 * step;
      terms[i] = centre * (centre * (counts[i + 1] - counts[i]) - 2 * (sums[i + 1] - sums[i]));
    }
    for (int i = 0; i < size; ++i) error += terms[i];
    counts[0] = counts[size];
    sums[0] = sums[size];
  }
  return error > 0 ? error : 0;
}

/**
 * Natural logarithm of a number from 2^-1000 to 2^1000, to the last bits: x = 2^e m with m near 1, and the series of
 * 2 artanh((m - 1) / (m + 1)).
 */
OBSERVER_LOOP double logarithm(double x) {
  constexpr uint64_t kHalfRoot = 0x3FE6A09E667F3BCD;  // sqrt(1/2)
  constexpr uint64_t kBias = 1024;
  constexpr uint64_t kWhole = 0x4330000000000000;  // 2^52: whole numbers in the low bits
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint64_t exponent = (bits - kHalfRoot + (kBias << 52)) >> 52;
  const uint64_t mantissaBits = bits - ((exponent - kBias) << 52);
  const uint64_t wholeBits = exponent | kWhole;
  double m;
  memcpy(&m, &mantissaBits, sizeof m);
  double e;
  memcpy(&e, &wholeBits, sizeof e);
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / 21;
  series = series * z + 1.0 / 19;
  series = series * z + 1.0 / 17;
  series = series * z + 1.0 / 15;
  series = series * z + 1.0 / 13;
  series = series * z + 1.0 / 11;
  series = series * z + 1.0 / 9;
  series = series * z + 1.0 / 7;
  series = series * z + 1.0 / 5;
  series = series * z + 1.0 / 3;
  return (e - (4503599627370496.0 + static_cast<double>(kBias))) * 0.6931471805599453 + 2.0 * s * (series * z + 1.0);
}

/**
 * Sum of mass * log(mass / filled bins) over the 2^shift groups that the first `kept` bins are averaged in; `outside`
 * counts as a part of the last group, if that is not empty.
 */
OBSERVER_LOOP double groupEntropy(const LevelGroups &groups, double outside) {
  const size_t levels = size_t{1} << groups.shift;
  double mass[kBlock];
  double bins[kBlock];
  double terms[kBlock];
  double lastMass = 0;
  uint32_t lastFilled = 0;
  double sum = 0;
  for (size_t start = 0; start < levels; start += kBlock) {
    const size_t size = std::min<size_t>(kBlock, levels - start);
    for (size_t i = 0; i < size; ++i) {
      const size_t next = ((start + i + 1) * groups.kept + levels - 1) >> groups.shift;
      mass[i] = groups.mass[next] - lastMass;
      bins[i] = groups.logarithms[groups.filled[next] - lastFilled];
      lastMass = groups.mass[next];
      lastFilled = groups.filled[next];
    }
    // An empty group has mass 0 and no filled bins: 0 * (log(1) - 0).
    for (size_t i = 0; i < size; ++i) terms[i] = logarithm(mass[i] > 0 ? mass[i] : 1) - bins[i];
    if (start + size == levels && mass[size - 1] > 0) mass[size - 1] += outside;
    for (size_t i = 0; i < size; ++i) terms[i] *= mass[i];
    for (size_t i = 0; i < size; ++i) sum += terms[i];
  }
  return sum;
}

}  // namespace detail

/** The loops for this processor. */
double cellError(const CellBins &bins, double square, double low, double step, int cells);
double groupEntropy(const LevelGroups &groups, double outside);

namespace avx2 {
double cellError(const CellBins &bins, double square, double low, double step, int cells);
double groupEntropy(const LevelGroups &groups, double outside);
}  // namespace avx2

}  // namespace observer
