// The searches for ranges over histograms: C++ twins of kl.ts, ifmr.ts, hfmg.ts and mse.ts in engine/calibration/observers,
// which say where each comes from. Step for step the same, so that the results are.
#pragma once

#include <cstddef>
#include <vector>

#include "distribution.h"

namespace observer {

struct Range {
  double min;
  double max;
};

/** How the integers are laid over a range. */
struct Grid {
  bool symmetric;
  int bits;
};

struct IfmrOptions {
  double maxPercentile;
  double minPercentile;
  double start;
  double end;
  double step;
};

/** The same counts in bins `factor` times as wide, aligned like the first ones. */
class CoarserBins {
 public:
  CoarserBins(const Bins &bins, size_t factor);
  CoarserBins(const CoarserBins &) = delete;
  CoarserBins &operator=(const CoarserBins &) = delete;
  const Bins &bins() const { return bins_; }

 private:
  std::vector<double> counts_;
  Bins bins_;
};

/** @param clippingWeight How many times the squared error of clipped values counts. */
Range mseRange(const Distribution &distribution, const Grid &grid, double clippingWeight = 1);
Range ifmrRange(const Distribution &distribution, const IfmrOptions &options, const Grid &grid);
Range hfmgRange(const Bins &bins, const Grid &grid);

/** A histogram, and which ranges are wanted of it. */
struct SearchTask {
  Bins bins;
  Grid grid;
  IfmrOptions ifmr;
  /** The histogram of HFMG has bins this many times as wide. */
  size_t hfmgFactor;
  bool wantsKl;
  bool wantsIfmr;
  bool wantsHfmg;
  bool wantsMse;
  /** The search of MSE with this weight on clipping. */
  bool wantsWeighted;
  double clippingWeight;
};

struct SearchResult {
  Range kl{0, 0};
  Range ifmr{0, 0};
  Range hfmg{0, 0};
  Range mse{0, 0};
  Range weighted{0, 0};
};

/** Every task's ranges, on several threads (0: as many as there are processors). */
std::vector<SearchResult> searchAll(const std::vector<SearchTask> &tasks, unsigned threads);

}  // namespace observer
