// The loops for x86-64 processors with AVX2. The library must load on any x86-64 processor: only these functions may use
// the instructions, and only after available() has been asked.
#if defined(__x86_64__)

#include "loops.h"

#define OBSERVER_AVX2 __attribute__((target("avx2")))

namespace observer::avx2 {

bool available() { return __builtin_cpu_supports("avx2") != 0; }

OBSERVER_AVX2 Extremes extremesOf(const float *x, size_t count) { return detail::extremes<8>(x, count); }

OBSERVER_AVX2 void countBins(const float *x, size_t count, const BinGrid &grid, uint32_t *tables, size_t stride) {
  detail::countBins<8>(x, count, grid, tables, stride);
}

}  // namespace observer::avx2

#endif
