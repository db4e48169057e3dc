// The searches against their definitions written down directly. That they give what the TypeScript searches give, whose
// scales are AMCT's: test/integration/calibration.
#include <algorithm>
#include <limits>

#include "entropy.h"
#include "search.h"
#include "support.h"

using namespace observer;

namespace {

/** A histogram with its memory. */
struct Filled {
  std::vector<double> counts;
  Bins bins;

  Filled(const std::vector<float> &values, size_t capacity) {
    Histogram histogram(capacity);
    Counters counters;
    histogram.add(values.data(), values.size(), extremesOf(values.data(), values.size()), counters);
    const auto begin = histogram.counts().begin();
    counts.assign(begin, begin + static_cast<ptrdiff_t>(histogram.used()));
    const double low = static_cast<double>(histogram.first()) * histogram.width();
    bins = {counts.data(), counts.size(),   low, histogram.width(), histogram.min(),
            histogram.max(), static_cast<double>(histogram.total())};
  }
};

std::vector<float> withOutliers() {
  std::vector<float> values = support::normal(1000000, 21);
  values.push_back(40);
  values.push_back(-25);
  return values;
}

/** Every bin's values spread over so many points. */
double slowCellError(const Bins &bins, double low, double step, int cells) {
  constexpr int kPoints = 2000;
  double error = 0;
  for (size_t bin = 0; bin < bins.used; ++bin) {
    for (int point = 0; point < kPoints && bins.counts[bin] > 0; ++point) {
      const double x = bins.low + (static_cast<double>(bin) + (point + 0.5) / kPoints) * bins.width;
      const double cell = std::min<double>(cells - 1, std::max(0.0, std::floor((x - low) / step)));
      const double difference = x - (low + (cell + 0.5) * step);
      error += bins.counts[bin] / kPoints * difference * difference;
    }
  }
  return error;
}

/** NVIDIA's code: histogram.py, _compute_amax_entropy, for one limit. */
double slowDivergence(std::vector<double> counts, size_t levels, size_t kept) {
  counts[0] = counts[1];
  std::vector<double> density(levels);
  std::vector<double> members(levels);
  const auto levelOf = [&](size_t bin) { return bin * levels / kept; };
  for (size_t bin = 0; bin < kept; ++bin) {
    if (counts[bin] == 0) continue;
    density[levelOf(bin)] += counts[bin];
    members[levelOf(bin)] += 1;
  }
  std::vector<double> p(counts.begin(), counts.begin() + static_cast<ptrdiff_t>(kept));
  for (size_t bin = kept; bin < counts.size(); ++bin) p[kept - 1] += counts[bin];
  double sumP = 0;
  double sumQ = 0;
  std::vector<double> q(kept);
  for (size_t bin = 0; bin < kept; ++bin) {
    if (counts[bin] > 0) q[bin] = density[levelOf(bin)] / members[levelOf(bin)];
    sumP += p[bin];
    sumQ += q[bin];
  }
  double divergence = 0;
  for (size_t bin = 0; bin < kept; ++bin) {
    if (p[bin] > 0) divergence += p[bin] / sumP * std::log(p[bin] / sumP / (q[bin] / sumQ));
  }
  return divergence;
}

}  // namespace

TEST(cell_error_is_that_of_values_spread_over_their_bins) {
  const Filled filled(support::normal(5000, 22, 1, 0.3f), 128);
  const Distribution distribution(filled.bins);
  for (const auto &[low, step, cells] : std::vector<std::tuple<double, double, int>>{
           {-4, 0.05, 160}, {-1, 0.01, 200}, {-20, 0.3, 256}, {0.5, 0.02, 7}, {-2, 0.5, 1}, {10, 1, 64}, {-9, 1, 65}}) {
    const double expected = slowCellError(filled.bins, low, step, cells);
    CHECK(std::abs(distribution.cellError(low, step, cells) / expected - 1) < 1e-3);
  }
}

TEST(parts_below_a_point) {
  const Filled filled(support::normal(5000, 23), 1024);
  const Distribution distribution(filled.bins);
  CHECK_EQ(distribution.below(-1e9).count, 0.0);
  CHECK_EQ(distribution.below(1e9).count, 5000.0);
  CHECK_EQ(distribution.below(1e9).sum, distribution.sum());
  CHECK(std::abs(distribution.below(0).count - 2500) < 200);
  CHECK_EQ(distribution.orderStatistic(1), distribution.min());
  CHECK_EQ(distribution.orderStatistic(5000), distribution.max());
}

TEST(entropy_keeps_the_bins_that_the_direct_computation_keeps) {
  for (const unsigned seed : {31u, 32u, 33u}) {
    std::vector<double> counts(300);
    for (const float value : support::normal(20000, seed, seed == 33 ? 5.0f : 1.0f)) {
      const float bin = std::min(299.0f, std::floor(std::abs(value) * 60));
      counts[static_cast<size_t>(bin)] += 1;
    }
    const unsigned levelBits = 4;
    double least = std::numeric_limits<double>::infinity();
    for (size_t kept = 16; kept <= counts.size(); ++kept) {
      if (counts[kept - 1] > 0 || kept == counts.size()) least = std::min(least, slowDivergence(counts, 16, kept));
    }
    CHECK(std::abs(slowDivergence(counts, 16, entropyBins(counts, levelBits)) - least) < 1e-9);
  }
  CHECK_EQ(entropyBins(std::vector<double>(100, 1.0), 7), size_t{100});
}

TEST(searches_cut_outliers_off_and_stay_within_the_data) {
  const Filled filled(withOutliers(), 8192);
  for (const bool symmetric : {false, true}) {
    const IfmrOptions ifmr{1, 1, 0.7, 1.3, 0.01};
    const SearchTask task{filled.bins, {symmetric, 8}, ifmr, 16, true, true, true, true, true, 8};
    const std::vector<SearchResult> results = searchAll({task, task, task}, 2);
    CHECK_EQ(results.size(), size_t{3});
    const SearchResult &found = results[2];
    CHECK(found.kl.max < 10 && found.kl.max > 2 && found.kl.min > -10);
    CHECK(found.mse.max < 20 && found.mse.min > -20);
    CHECK(found.weighted.max > 2 && found.weighted.max <= 40 && found.weighted.min >= -40);
    CHECK(found.hfmg.max <= 40.1 && found.hfmg.min >= -40.1);
    CHECK(found.ifmr.max <= 52.1 && found.ifmr.max >= 27);
    CHECK_EQ(results[0].mse.max, results[1].mse.max);
  }
}

TEST(searches_take_constants_and_nothing) {
  const IfmrOptions ifmr{0.999999, 0.999999, 0.7, 1.3, 0.01};
  for (const std::vector<float> &values : std::vector<std::vector<float>>{{}, {5}, {0, 0}, {-2, -2}, {1e-30f}}) {
    const Filled filled(values, 1024);
    const auto results = searchAll({{filled.bins, {false, 8}, ifmr, 8, true, true, true, true, true, 8}}, 1);
    CHECK(results[0].mse.min <= results[0].mse.max);
    CHECK(std::isfinite(results[0].kl.max) && std::isfinite(results[0].ifmr.max) && std::isfinite(results[0].hfmg.max));
  }
}
