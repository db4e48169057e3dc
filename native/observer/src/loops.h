// The two loops over the values of a tensor: its extremes, and the counting of values into bins. Written with vector types
// of the compiler (GCC, Clang), so that one text serves every processor; loops_avx2.cpp compiles it once more for AVX2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace observer {

/** Smallest and largest of the finite values; whether all were finite. */
struct Extremes {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  bool finite = true;

  void join(const Extremes &other) {
    min = other.min < min ? other.min : min;
    max = other.max > max ? other.max : max;
    finite = finite && other.finite;
  }
};

/** Bins [k width, (k + 1) width) with width = 1 / perWidth a power of two; `first` is the k of counter 0. */
struct BinGrid {
  double perWidth;
  int64_t first;
};

/** Counters that neighbouring values are spread over: equal ones in a row need not wait for each other. */
constexpr size_t kTables = 2;

namespace detail {

/** A vector register's worth of numbers. */
template <size_t Lanes>
struct Register;
template <>
struct Register<4> {
  using Floats = float __attribute__((vector_size(16)));
  using Integers = int32_t __attribute__((vector_size(16)));
};
template <>
struct Register<8> {
  using Floats = float __attribute__((vector_size(32)));
  using Integers = int32_t __attribute__((vector_size(32)));
};

#define OBSERVER_INLINE inline __attribute__((always_inline))

OBSERVER_INLINE void addValue(Extremes &result, float value) {
  result.min = value < result.min ? value : result.min;
  result.max = value > result.max ? value : result.max;
  result.finite = result.finite && value - value == 0.0f;
}

template <size_t Lanes>
OBSERVER_INLINE Extremes extremes(const float *x, size_t count) {
  using Floats = typename Register<Lanes>::Floats;
  Extremes result;
  size_t i = 0;
  if (count >= 2 * Lanes) {
    // Two chains, for the latency of the comparisons.
    Floats low[2];
    Floats high[2];
    Floats wrong[2];
    for (int chain = 0; chain < 2; ++chain) {
      low[chain] = Floats{} + result.min;
      high[chain] = Floats{} + result.max;
      wrong[chain] = Floats{};
    }
    for (; i + 2 * Lanes <= count; i += 2 * Lanes) {
      for (int chain = 0; chain < 2; ++chain) {
        Floats value;
        memcpy(&value, x + i + static_cast<size_t>(chain) * Lanes, sizeof value);
        low[chain] = value < low[chain] ? value : low[chain];
        high[chain] = value > high[chain] ? value : high[chain];
        // 0 for every finite value, NaN for the others.
        wrong[chain] += value - value;
      }
    }
    for (int chain = 0; chain < 2; ++chain) {
      for (size_t lane = 0; lane < Lanes; ++lane) {
        result.join({low[chain][lane], high[chain][lane], wrong[chain][lane] == 0.0f});
      }
    }
  }
  for (; i < count; ++i) addValue(result, x[i]);
  return result;
}

/** floor(x / width): exact for every float, as a power of two only moves the exponent of a double. */
OBSERVER_INLINE int64_t binOf(float x, double perWidth) {
  const double position = static_cast<double>(x) * perWidth;
  const int64_t whole = static_cast<int64_t>(position);
  return whole - (static_cast<double>(whole) > position ? 1 : 0);
}

/** @param tables kTables tables of `stride` counters. All values must lie in the bins. */
template <size_t Lanes>
OBSERVER_INLINE void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride) {
  using Floats = typename Register<Lanes>::Floats;
  using Integers = typename Register<Lanes>::Integers;
  size_t i = 0;
  // In float32 the product is exact too, but for results below its range: those of negative values must not become 0.
  const bool single = grid.perWidth >= 0x1p-100 && grid.perWidth <= 0x1p100;
  if (single) {
    const Floats perWidth = Floats{} + static_cast<float>(grid.perWidth);
    const Integers first = Integers{} + static_cast<int32_t>(grid.first);
    for (; i + Lanes <= count; i += Lanes) {
      Floats value;
      memcpy(&value, x + i, sizeof value);
      const Floats position = value * perWidth;
      const Integers whole = __builtin_convertvector(position, Integers);
      const Floats back = __builtin_convertvector(whole, Floats);
      // Comparisons give -1 where they hold.
      const Integers below = (back > position) | ((position == 0.0f) & (value < 0.0f));
      const Integers bins = whole + below - first;
      for (size_t lane = 0; lane < Lanes; ++lane) {
        ++tables[(lane % kTables) * stride + static_cast<uint32_t>(bins[lane])];
      }
    }
  }
  for (; i < count; ++i) ++tables[binOf(x[i], grid.perWidth) - grid.first];
}

}  // namespace detail

/** The loops for this processor. */
Extremes extremesOf(const float *x, size_t count);
void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride);

namespace avx2 {
bool available();
Extremes extremesOf(const float *x, size_t count);
void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride);
}  // namespace avx2

/** The loops without regard to the processor, for tests. */
namespace portable {
Extremes extremesOf(const float *x, size_t count);
void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride);
}  // namespace portable

/** binary16 bit patterns as floats. */
void widenHalves(const uint16_t *halves, float *x, size_t count);

}  // namespace observer
