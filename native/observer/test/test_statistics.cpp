// Histograms that grow without losing a count, and what is kept of a tensor over many runs.
#include <algorithm>
#include <limits>

#include "support.h"

using namespace observer;
using support::normal;

namespace {

void addAll(TensorStatistics &statistics, const std::vector<std::vector<float>> &batches, size_t threads) {
  Scratch scratch(threads);
  for (const std::vector<float> &batch : batches) statistics.add(batch.data(), batch.size(), scratch, support::Threads());
}

std::vector<std::vector<float>> growing() {
  return {normal(3000, 1, 0.01f), normal(10, 2, 0.1f), normal(5000, 3), {-70, 3}, normal(4000, 4, 30), {1e5f}};
}

}  // namespace

TEST(bin_width_is_the_smallest_power_of_two_that_fits) {
  for (const auto &[min, max] : std::vector<std::pair<double, double>>{
           {0, 1}, {-1, 1}, {-3, 5}, {0, 8191.5}, {-1e-3, 2e-3}, {1e6, 1e6 + 1}, {-3e38, 3e38}, {5, 5}, {0, 0}}) {
    const double width = binWidth(min, max, 1024);
    CHECK(std::floor(max / width) - std::floor(min / width) + 1 <= 1024);
    int exponent = 0;
    CHECK_EQ(std::frexp(width, &exponent), 0.5);
    const double half = width / 2;
    const bool limited = half < std::max(std::abs(min), std::abs(max)) * std::ldexp(1.0, -24) || half < 0x1p-149;
    CHECK(limited || std::floor(max / half) - std::floor(min / half) + 1 > 1024);
  }
}

TEST(histogram_grows_without_losing_a_count) {
  for (const size_t threads : {1, 3}) {
    TensorStatistics statistics({1024, 0, 0});
    const auto batches = growing();
    addAll(statistics, batches, threads);
    support::expectCounts(*statistics.histogram(), batches);
  }
}

TEST(histogram_does_not_depend_on_the_order) {
  auto batches = growing();
  TensorStatistics forward({1024, 0, 0});
  addAll(forward, batches, 1);
  std::reverse(batches.begin(), batches.end());
  TensorStatistics backward({1024, 0, 0});
  addAll(backward, batches, 1);
  CHECK_EQ(forward.histogram()->width(), backward.histogram()->width());
  CHECK_EQ(forward.histogram()->first(), backward.histogram()->first());
  CHECK(forward.histogram()->counts() == backward.histogram()->counts());
}

TEST(large_tensors_are_counted_by_several_threads) {
  const std::vector<std::vector<float>> batches{normal(200001, 5), normal(77777, 6, 3)};
  TensorStatistics statistics({8192, 0, 0});
  addAll(statistics, batches, 4);
  support::expectCounts(*statistics.histogram(), batches);
  CHECK_EQ(statistics.runs()[1].max, *std::max_element(batches[1].begin(), batches[1].end()));
}

TEST(empty_tensors_leave_no_trace) {
  TensorStatistics statistics({1024, 1024, 100});
  addAll(statistics, {{}, {1, 2}, {}}, 1);
  CHECK_EQ(statistics.runs().size(), size_t{1});
  CHECK_EQ(statistics.kept()->size(), size_t{2});
  TensorStatistics nothing({1024, 0, 0});
  addAll(nothing, {{}}, 1);
  CHECK_EQ(nothing.histogram()->used(), size_t{0});
}

TEST(the_first_value_that_is_not_finite_is_noted) {
  TensorStatistics statistics({1024, 0, 0});
  std::vector<float> batch = normal(100, 7);
  batch[50] = -std::numeric_limits<float>::infinity();
  batch[60] = std::numeric_limits<float>::quiet_NaN();
  addAll(statistics, {normal(10, 8), batch, {5}}, 1);
  CHECK(statistics.firstBad() != nullptr && *statistics.firstBad() == -std::numeric_limits<float>::infinity());
  CHECK_EQ(statistics.runs().size(), size_t{2});
}

TEST(minus_zero_is_zero) {
  TensorStatistics statistics({1024, 0, 0});
  addAll(statistics, {{-0.0f, -0.0f}}, 1);
  CHECK(!std::signbit(statistics.runs()[0].min) && !std::signbit(statistics.runs()[0].max));
}

TEST(values_are_kept_up_to_their_budget_and_then_counted) {
  const std::vector<std::vector<float>> batches{normal(400, 9), normal(600, 10, 5), normal(3000, 11, 0.1f)};
  TensorStatistics within({1024, 0, 1000});
  addAll(within, {batches[0], batches[1]}, 1);
  CHECK_EQ(within.kept()->size(), size_t{1000});
  CHECK(within.histogram() == nullptr);
  TensorStatistics beyond({1024, 0, 1000});
  addAll(beyond, batches, 2);
  CHECK(beyond.kept() == nullptr);
  support::expectCounts(*beyond.histogram(), batches);
}

TEST(amct_histogram_counts_all_values) {
  TensorStatistics statistics({0, 1024, 0});
  addAll(statistics, {normal(4096, 12), normal(4096, 13, 1.5f, 0.3f), {2, 2}, {-40, 1e30f}}, 1);
  const GluttonHistogram &glutton = *statistics.glutton();
  double sum = 0;
  for (const double count : glutton.counts()) sum += count;
  CHECK_EQ(sum, 8196.0);
  CHECK_EQ(glutton.total(), uint64_t{8196});
  CHECK_EQ(glutton.max(), static_cast<double>(1e30f));
}

TEST(amct_histogram_takes_constants_and_the_largest_floats) {
  TensorStatistics constant({0, 1024, 0});
  addAll(constant, {{3, 3, 3}}, 1);
  CHECK_EQ(constant.glutton()->counts()[512], 3.0);
  const float largest = std::numeric_limits<float>::max();
  TensorStatistics extreme({0, 1024, 0});
  addAll(extreme, {{-largest, largest, 0}}, 1);
  CHECK_EQ(extreme.glutton()->total(), uint64_t{3});
}
