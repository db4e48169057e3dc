// Data for the tests, and the definitions that the library is held against.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "check.h"
#include "statistics.h"

namespace support {

inline std::vector<float> normal(size_t count, unsigned seed, float scale = 1, float shift = 0) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float &value : values) value = distribution(generator) * scale + shift;
  return values;
}

/** Counts by bin index as the definition has it: floor(x / width). */
inline std::map<int64_t, uint64_t> slowCounts(const std::vector<std::vector<float>> &batches, double width) {
  std::map<int64_t, uint64_t> counts;
  for (const std::vector<float> &batch : batches) {
    for (const float value : batch) ++counts[static_cast<int64_t>(std::floor(static_cast<double>(value) / width))];
  }
  return counts;
}

inline void expectCounts(const observer::Histogram &histogram, const std::vector<std::vector<float>> &batches) {
  std::map<int64_t, uint64_t> expected = slowCounts(batches, histogram.width());
  uint64_t total = 0;
  for (size_t index = 0; index < histogram.capacity(); ++index) {
    const uint64_t count = histogram.counts()[index];
    CHECK_EQ(count, expected[histogram.first() + static_cast<int64_t>(index)]);
    total += count;
  }
  CHECK_EQ(total, histogram.total());
  size_t values = 0;
  for (const std::vector<float> &batch : batches) values += batch.size();
  CHECK_EQ(total, static_cast<uint64_t>(values));
}

/** As many threads as parts. */
struct Threads final : observer::Parallel {
  void run(size_t parts, void (*body)(void *, size_t), void *argument) const override {
    std::vector<std::thread> threads;
    for (size_t part = 0; part < parts; ++part) threads.emplace_back([=] { body(argument, part); });
    for (std::thread &thread : threads) thread.join();
  }
};

}  // namespace support
