// The loops for any processor, and the choice between them and those for AVX2.
#include "search_loops.h"

#include "loops.h"

namespace observer {

double cellError(const CellBins &bins, double square, double low, double step, int cells) {
#if defined(__x86_64__)
  static const bool fast = avx2::available();
  if (fast) return avx2::cellError(bins, square, low, step, cells);
#endif
  return detail::cellError(bins, square, low, step, cells);
}

double groupEntropy(const LevelGroups &groups, double outside) {
#if defined(__x86_64__)
  static const bool fast = avx2::available();
  if (fast) return avx2::groupEntropy(groups, outside);
#endif
  return detail::groupEntropy(groups, outside);
}

}  // namespace observer
