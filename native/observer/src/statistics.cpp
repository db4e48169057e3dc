#include "statistics.h"

#include <algorithm>
#include <cmath>

namespace observer {
namespace {

/** Values that are worth a thread of their own. */
constexpr size_t kPerThread = 32 * 1024;

/** Values of one part: all parts but the last are equal, and whole vectors. */
struct Split {
  size_t count;
  size_t parts;

  Split(size_t count, size_t threads)
      : count(count), parts(std::max<size_t>(1, std::min(threads, count / kPerThread))) {}
  size_t begin(size_t part) const {
    constexpr size_t kBlock = 64;
    return part >= parts ? count : part * (count / parts / kBlock * kBlock);
  }
};

Extremes extremesOfAll(const float *x, const Split &split, const Parallel &parallel) {
  if (split.parts == 1) return extremesOf(x, split.count);
  struct Task {
    const float *x;
    const Split &split;
    std::vector<Extremes> found;
  } task{x, split, std::vector<Extremes>(split.parts)};
  parallel.run(
      split.parts,
      [](void *argument, size_t part) {
        Task &own = *static_cast<Task *>(argument);
        const size_t begin = own.split.begin(part);
        own.found[part] = extremesOf(own.x + begin, own.split.begin(part + 1) - begin);
      },
      &task);
  Extremes all;
  for (const Extremes &part : task.found) all.join(part);
  return all;
}

}  // namespace

TensorStatistics::TensorStatistics(const Wanted &wanted) : keep_(wanted.keep), keeping_(wanted.keep > 0) {
  if (wanted.bins > 0) histogram_ = std::make_unique<Histogram>(wanted.bins);
  if (wanted.gluttonBins > 0) glutton_ = std::make_unique<GluttonHistogram>(wanted.gluttonBins);
}

void TensorStatistics::count(const float *x, size_t count, const Extremes &extremes, Scratch &scratch,
                             const Parallel &parallel) {
  const Split split(count, scratch.counters.size());
  if (split.parts == 1) {
    histogram_->add(x, count, extremes, scratch.counters[0]);
    return;
  }
  histogram_->cover(extremes.min, extremes.max);
  const size_t capacity = histogram_->capacity();
  for (size_t part = 0; part < split.parts; ++part) {
    Counters &counters = scratch.counters[part];
    if (counters.size() < kTables * capacity) counters.resize(kTables * capacity);
  }
  struct Task {
    const float *x;
    const Split &split;
    const BinGrid grid;
    size_t capacity;
    Scratch &scratch;
  } task{x, split, histogram_->grid(), capacity, scratch};
  parallel.run(
      split.parts,
      [](void *argument, size_t part) {
        Task &own = *static_cast<Task *>(argument);
        const size_t begin = own.split.begin(part);
        countBins(own.x + begin, own.split.begin(part + 1) - begin, own.grid, own.scratch.counters[part].data(),
                  own.capacity);
      },
      &task);
  for (size_t part = 0; part < split.parts; ++part) {
    histogram_->take(scratch.counters[part], split.begin(part + 1) - split.begin(part), extremes.min, extremes.max);
  }
}

void TensorStatistics::add(const float *x, size_t count, Scratch &scratch, const Parallel &parallel) {
  if (count == 0) return;
  Extremes extremes = extremesOfAll(x, Split(count, scratch.counters.size()), parallel);
  if (!extremes.finite) {
    if (bad_) return;
    bad_ = true;
    badValue_ = *std::find_if(x, x + count, [](float value) { return !std::isfinite(value); });
    return;
  }
  // Minus zero becomes zero: which of them is found would depend on the processor.
  extremes.min += 0.0f;
  extremes.max += 0.0f;
  runs_.push_back(extremes);
  if (glutton_) glutton_->add(x, count, extremes);
  if (keeping_ && kept_.size() + count <= keep_) {
    kept_.insert(kept_.end(), x, x + count);
    return;
  }
  if (keeping_) {
    keeping_ = false;
    if (histogram_ && !kept_.empty()) {
      this->count(kept_.data(), kept_.size(), extremesOf(kept_.data(), kept_.size()), scratch, parallel);
    }
    kept_ = {};
  }
  if (histogram_) this->count(x, count, extremes, scratch, parallel);
}

}  // namespace observer
