// The loops over values: every length, every processor, values at the edges of what a float holds.
#include <algorithm>
#include <limits>

#include "loops.h"
#include "support.h"

using namespace observer;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using ExtremesFunction = Extremes(const float *, size_t);
using CountFunction = void(const float *, size_t, const BinGrid &, uint32_t *, size_t);

std::vector<ExtremesFunction *> extremesFunctions() {
  std::vector<ExtremesFunction *> functions{portable::extremesOf, extremesOf};
#if defined(__x86_64__)
  if (avx2::available()) functions.push_back(avx2::extremesOf);
#endif
  return functions;
}

std::vector<CountFunction *> countFunctions() {
  std::vector<CountFunction *> functions{portable::countBins, countBins};
#if defined(__x86_64__)
  if (avx2::available()) functions.push_back(avx2::countBins);
#endif
  return functions;
}

/** Counts with a loop and compares with floor(x / width). */
void expectBins(const std::vector<float> &values, double width) {
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = std::numeric_limits<int64_t>::min();
  for (const float value : values) {
    const int64_t bin = static_cast<int64_t>(std::floor(static_cast<double>(value) / width));
    first = std::min(first, bin);
    last = std::max(last, bin);
  }
  const size_t stride = static_cast<size_t>(last - first + 1);
  std::map<int64_t, uint64_t> expected = support::slowCounts({values}, width);
  for (CountFunction *const count : countFunctions()) {
    std::vector<uint32_t> tables(kTables * stride);
    count(values.data(), values.size(), {1 / width, first}, tables.data(), stride);
    for (size_t bin = 0; bin < stride; ++bin) {
      uint64_t counted = 0;
      for (size_t table = 0; table < kTables; ++table) counted += tables[table * stride + bin];
      CHECK_EQ(counted, expected[first + static_cast<int64_t>(bin)]);
    }
  }
}

}  // namespace

TEST(extremes_of_every_length) {
  const std::vector<float> values = support::normal(100, 1);
  for (ExtremesFunction *const extremes : extremesFunctions()) {
    for (size_t count = 1; count <= values.size(); ++count) {
      const Extremes found = extremes(values.data(), count);
      CHECK_EQ(found.min, *std::min_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(count)));
      CHECK_EQ(found.max, *std::max_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(count)));
      CHECK(found.finite);
    }
    CHECK_EQ(extremes(values.data(), 0).min, kInfinity);
  }
}

TEST(extremes_see_a_value_that_is_not_finite_in_any_place) {
  for (ExtremesFunction *const extremes : extremesFunctions()) {
    for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
      for (size_t place = 0; place < 50; ++place) {
        std::vector<float> values(50, 1.0f);
        values[place] = bad;
        CHECK(!extremes(values.data(), values.size()).finite);
      }
    }
    const std::vector<float> largest(40, std::numeric_limits<float>::max());
    CHECK(extremes(largest.data(), largest.size()).finite);
  }
}

TEST(bins_of_every_length) {
  for (size_t count = 1; count <= 40; ++count) expectBins(support::normal(count, 2), 1.0 / 64);
}

TEST(bins_of_values_on_and_beside_their_edges) {
  std::vector<float> values;
  for (int step = -40; step <= 40; ++step) {
    const float edge = static_cast<float>(step) / 8;
    for (const float value : {edge, std::nextafter(edge, kInfinity), std::nextafter(edge, -kInfinity)}) {
      values.push_back(value);
    }
  }
  expectBins(values, 1.0 / 8);
  expectBins(values, 2.0);
}

TEST(bins_of_values_far_from_zero_and_of_the_smallest) {
  expectBins(support::normal(999, 3, 1, 1e6f), 0.0625);
  expectBins(support::normal(999, 4, 1e-30f), std::ldexp(1.0, -110));
  expectBins(support::normal(999, 5, 1e37f), std::ldexp(1.0, 118));
  // The product with 1 / width is below the range of float32: what is negative must not become bin 0.
  const float tiny = std::numeric_limits<float>::denorm_min();
  expectBins({-tiny, tiny, -0.0f, 0.0f, -tiny, -3 * tiny, 3, -3}, 4.0);
  expectBins(std::vector<float>(24, -tiny), 1024.0);
}

TEST(halves_become_the_floats_they_are) {
  std::vector<uint16_t> halves(0x10000);
  for (size_t bits = 0; bits < halves.size(); ++bits) halves[bits] = static_cast<uint16_t>(bits);
  std::vector<float> widened(halves.size());
  widenHalves(halves.data(), widened.data(), halves.size());
  for (size_t bits = 0; bits < halves.size(); ++bits) {
    const int exponent = static_cast<int>(bits >> 10) & 31;
    const double fraction = static_cast<double>(bits & 1023) / 1024;
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31) {
      CHECK_EQ(std::isnan(widened[bits]), fraction != 0);
      CHECK_EQ(std::isinf(widened[bits]), fraction == 0);
    } else {
      const double magnitude = exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
      CHECK_EQ(static_cast<double>(widened[bits]), sign * magnitude);
    }
  }
}
