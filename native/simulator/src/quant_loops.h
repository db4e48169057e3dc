// Portable loops of the operators in domain `ascendsim`. The AVX2 versions in quant_avx2.cpp use them for the rest.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fp16.h"
#include "quant_math.h"

namespace ascendsim {

/** Adding 1.5 * 2^23 leaves the integer nearest to a value below 2^22 in the low mantissa bits, ties to even. */
constexpr float kRoundingMagic = 12582912.0f;
constexpr int32_t kRoundingBits = 0x4B400000;

template <bool Half>
inline float rounded(float x) {
  return Half ? roundToHalf(x) : x;
}

template <bool Half>
inline int32_t quantize(float x, float scale, float offset) {
  const float product = rounded<Half>(rounded<Half>(x) * scale);
  const float sum = rounded<Half>(product + offset);
  // Clamping first is the same, as the bounds are integers.
  const float low = sum < -128.0f ? -128.0f : sum;
  const float high = low > 127.0f ? 127.0f : low;
  const float number = sum == sum ? high : 0.0f;  // NaN becomes 0
  return static_cast<int32_t>(floatBits(number + kRoundingMagic)) - kRoundingBits;
}

template <bool Half>
inline float dequantize(int32_t x, float scale) {
  return rounded<Half>(static_cast<float>(x) * scale);
}

/** The sum of two int32 numbers, limited to their range. Branch-free, so that loops over it vectorise. */
inline int32_t saturatingSum(int32_t a, int32_t b) {
  const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  const int32_t overflowed = ((a ^ sum) & (b ^ sum)) >> 31;  // -1 where both have the sign that the sum has not
  const int32_t limit = (a >> 31) ^ INT32_MAX;
  return (overflowed & limit) | (~overflowed & sum);
}

template <bool Half>
inline float antiQuantize(uint8_t x, float scale, float offset) {
  const float q = static_cast<float>(static_cast<int32_t>(x) - 128);
  return rounded<Half>(rounded<Half>(q - offset) * scale);
}

inline void roundLoop(const float *__restrict x, float *__restrict y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = roundToHalf(x[i]);
}

/** q + Shift as the output type. */
template <bool Half, class Out, int32_t Shift>
inline void quantLoop(const float *__restrict x, Out *__restrict y, size_t count, float scale, float offset) {
  for (size_t i = 0; i < count; ++i) y[i] = static_cast<Out>(quantize<Half>(x[i], scale, offset) + Shift);
}

/** One scale for all elements. */
template <bool Half>
inline void dequantLoop(const int32_t *__restrict x, float *__restrict y, size_t count, float scale) {
  for (size_t i = 0; i < count; ++i) y[i] = dequantize<Half>(x[i], scale);
}

/** A scale per element. */
template <bool Half>
inline void dequantRow(const int32_t *__restrict x, const float *__restrict scales, float *__restrict y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = dequantize<Half>(x[i], scales[i]);
}

template <bool Half>
inline void antiQuantLoop(const uint8_t *__restrict x, float *__restrict y, size_t count, float scale, float offset) {
  for (size_t i = 0; i < count; ++i) y[i] = antiQuantize<Half>(x[i], scale, offset);
}

#if defined(__x86_64__)
/** AVX2 and F16C versions; call them only when available() says so. Same results, bit for bit. */
namespace avx2 {
bool available();
void round(const float *x, float *y, size_t count);
void quantU8(const float *x, uint8_t *y, size_t count, float scale, float offset, bool half);
void quantS8(const float *x, int8_t *y, size_t count, float scale, float offset, bool half);
void dequant(const int32_t *x, float *y, size_t count, float scale, bool half);
void dequantRow(const int32_t *x, const float *scales, float *y, size_t count, bool half);
void antiQuant(const uint8_t *x, float *y, size_t count, float scale, float offset, bool half);
}  // namespace avx2
#endif

}  // namespace ascendsim
