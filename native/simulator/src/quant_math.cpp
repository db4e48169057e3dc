// Loops of quant_math.h, compiled twice on x86-64: for any processor and for AVX2, chosen when the library is loaded.
#include "quant_math.h"

#include "fp16.h"

namespace ascendsim {
namespace {

#define ASCENDSIM_INLINE inline __attribute__((always_inline))

/** Adding 1.5 * 2^23 leaves the integer nearest to a value below 2^22 in the low mantissa bits, ties to even. */
constexpr float kRoundingMagic = 12582912.0f;
constexpr int32_t kRoundingBits = 0x4B400000;

template <bool Half>
ASCENDSIM_INLINE float rounded(float x) {
  return Half ? roundToHalf(x) : x;
}

template <bool Half>
ASCENDSIM_INLINE int32_t quantize(float x, float scale, float offset) {
  const float product = rounded<Half>(rounded<Half>(x) * scale);
  const float sum = rounded<Half>(product + offset);
  // Clamping first is the same, as the bounds are integers. Comparisons with NaN are false: it becomes 0.
  const float low = sum < -128.0f ? -128.0f : sum;
  const float high = low > 127.0f ? 127.0f : low;
  const float number = sum == sum ? high : 0.0f;
  return static_cast<int32_t>(floatBits(number + kRoundingMagic)) - kRoundingBits;
}

template <bool Half, class Out, int32_t Shift>
ASCENDSIM_INLINE void quantLoop(const float *__restrict x, Out *__restrict y, size_t count, float scale,
                                float offset) {
  for (size_t i = 0; i < count; ++i) y[i] = static_cast<Out>(quantize<Half>(x[i], scale, offset) + Shift);
}

template <class Out, int32_t Shift>
ASCENDSIM_INLINE void quantAny(const float *x, Out *y, size_t count, const QuantParameters &p) {
  if (p.fp16) {
    quantLoop<true, Out, Shift>(x, y, count, roundToHalf(p.scale), roundToHalf(p.offset));
  } else {
    quantLoop<false, Out, Shift>(x, y, count, p.scale, p.offset);
  }
}

ASCENDSIM_INLINE void roundLoop(const float *__restrict x, float *__restrict y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = roundToHalf(x[i]);
}

template <bool Half>
ASCENDSIM_INLINE void dequantLoop(const int32_t *__restrict x, const float *__restrict scales, float *__restrict y,
                                  size_t outer, size_t channels, size_t inner) {
  for (size_t o = 0; o < outer; ++o) {
    if (inner == 1) {
      for (size_t c = 0; c < channels; ++c) y[c] = rounded<Half>(static_cast<float>(x[c]) * scales[c]);
      x += channels;
      y += channels;
      continue;
    }
    for (size_t c = 0; c < channels; ++c, x += inner, y += inner) {
      const float scale = scales[c];
      for (size_t i = 0; i < inner; ++i) y[i] = rounded<Half>(static_cast<float>(x[i]) * scale);
    }
  }
}

template <bool Half>
ASCENDSIM_INLINE void antiQuantLoop(const uint8_t *__restrict x, float *__restrict y, size_t count, float scale,
                                    float offset) {
  for (size_t i = 0; i < count; ++i) {
    const float q = static_cast<float>(static_cast<int32_t>(x[i]) - 128);
    y[i] = rounded<Half>(rounded<Half>(q - offset) * scale);
  }
}

/** Defines one set of the five functions, compiled for the target named by TARGET. */
#define ASCENDSIM_KERNELS(SUFFIX, TARGET)                                                                             \
  TARGET void roundFp16##SUFFIX(const float *x, float *y, size_t n) { roundLoop(x, y, n); }                           \
  TARGET void quantU8##SUFFIX(const float *x, uint8_t *y, size_t n, const QuantParameters &p) {                       \
    quantAny<uint8_t, 128>(x, y, n, p);                                                                               \
  }                                                                                                                   \
  TARGET void quantS8##SUFFIX(const float *x, int8_t *y, size_t n, const QuantParameters &p) {                        \
    quantAny<int8_t, 0>(x, y, n, p);                                                                                  \
  }                                                                                                                   \
  TARGET void dequant##SUFFIX(const int32_t *x, const float *s, float *y, size_t o, size_t c, size_t i, bool half) {  \
    if (half) {                                                                                                       \
      dequantLoop<true>(x, s, y, o, c, i);                                                                            \
    } else {                                                                                                          \
      dequantLoop<false>(x, s, y, o, c, i);                                                                           \
    }                                                                                                                 \
  }                                                                                                                   \
  TARGET void antiQuant##SUFFIX(const uint8_t *x, float *y, size_t n, const QuantParameters &p) {                     \
    if (p.fp16) {                                                                                                     \
      antiQuantLoop<true>(x, y, n, roundToHalf(p.scale), roundToHalf(p.offset));                                      \
    } else {                                                                                                          \
      antiQuantLoop<false>(x, y, n, p.scale, p.offset);                                                               \
    }                                                                                                                 \
  }

ASCENDSIM_KERNELS(Plain, )
#if defined(__x86_64__)
ASCENDSIM_KERNELS(Avx2, __attribute__((target("avx2"))))
const bool kAvx2 = __builtin_cpu_supports("avx2") != 0;
#define ASCENDSIM_CALL(name, ...) (kAvx2 ? name##Avx2(__VA_ARGS__) : name##Plain(__VA_ARGS__))
#else
#define ASCENDSIM_CALL(name, ...) name##Plain(__VA_ARGS__)
#endif

}  // namespace

void roundFp16(const float *x, float *y, size_t count) { ASCENDSIM_CALL(roundFp16, x, y, count); }

void ascendQuantU8(const float *x, uint8_t *y, size_t count, const QuantParameters &parameters) {
  ASCENDSIM_CALL(quantU8, x, y, count, parameters);
}

void ascendQuantS8(const float *x, int8_t *y, size_t count, const QuantParameters &parameters) {
  ASCENDSIM_CALL(quantS8, x, y, count, parameters);
}

void ascendDequant(const int32_t *x, const float *scales, float *y, size_t outer, size_t channels, size_t inner,
                   bool fp16) {
  ASCENDSIM_CALL(dequant, x, scales, y, outer, channels, inner, fp16);
}

void ascendAntiQuant(const uint8_t *x, float *y, size_t count, const QuantParameters &parameters) {
  ASCENDSIM_CALL(antiQuant, x, y, count, parameters);
}

}  // namespace ascendsim
