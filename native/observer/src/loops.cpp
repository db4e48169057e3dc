// The loops for any processor, and the choice between them and those for AVX2.
#include "loops.h"

#include "fp16.h"

namespace observer {
namespace portable {

Extremes extremesOf(const float *x, size_t count) { return detail::extremes<4>(x, count); }

void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride) {
  detail::countBins<4>(x, count, grid, tables, stride);
}

}  // namespace portable

#if defined(__x86_64__)

Extremes extremesOf(const float *x, size_t count) {
  static const bool fast = avx2::available();
  return fast ? avx2::extremesOf(x, count) : portable::extremesOf(x, count);
}

void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride) {
  static const bool fast = avx2::available();
  (fast ? avx2::countBins : portable::countBins)(x, count, grid, tables, stride);
}

#else

Extremes extremesOf(const float *x, size_t count) { return portable::extremesOf(x, count); }

void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride) {
  portable::countBins(x, count, grid, tables, stride);
}

#endif

void widenHalves(const uint16_t *halves, float *x, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t sign = static_cast<uint32_t>(halves[i] & 0x8000u) << 16;
    const uint32_t magnitude = halves[i] & 0x7FFFu;
    // Moved into place the exponent is short by 112, the difference of the biases; a product with 2^112 adds it and
    // makes subnormal numbers normal. Infinity and NaN keep the largest exponent.
    const float moved = ascendsim::bitsFloat(magnitude << 13) * 0x1p112f;
    const uint32_t bits = magnitude >= 0x7C00u ? 0x7F800000u | (magnitude << 13) : ascendsim::floatBits(moved);
    x[i] = ascendsim::bitsFloat(sign | bits);
  }
}

}  // namespace observer
