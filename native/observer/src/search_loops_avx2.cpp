// The loops of the searches for x86-64 processors with AVX2; see loops_avx2.cpp.
#if defined(__x86_64__)

#include "search_loops.h"

#define OBSERVER_AVX2 __attribute__((target("avx2")))

namespace observer::avx2 {

OBSERVER_AVX2 double cellError(const CellBins &bins, double square, double low, double step, int cells) {
  return detail::cellError(bins, square, low, step, cells);
}

OBSERVER_AVX2 double groupEntropy(const LevelGroups &groups, double outside) {
  return detail::groupEntropy(groups, outside);
}

}  // namespace observer::avx2

#endif
