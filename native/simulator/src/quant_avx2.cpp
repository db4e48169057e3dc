// The operators for x86-64 processors with AVX2 and F16C, eight elements at a time. The library must load on any x86-64
// processor: only these functions may use the instructions, and only after available() has been asked.
#if defined(__x86_64__)

#include <immintrin.h>

#include "quant_loops.h"

#define ASCENDSIM_AVX2 __attribute__((target("avx2,f16c")))
#define ASCENDSIM_INLINE inline __attribute__((always_inline))

namespace ascendsim::avx2 {
namespace {

/** roundToHalf: the conversion rounds as wanted but overflows to infinity, so its input is limited. min keeps NaN. */
template <bool Half>
ASCENDSIM_AVX2 ASCENDSIM_INLINE __m256 rounded(__m256 x) {
  if (!Half) return x;
  const __m256 limit = _mm256_set1_ps(65504.0f);
  const __m256 low = _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), limit), x);
  const __m256 limited = _mm256_min_ps(limit, low);
  return _mm256_cvtph_ps(_mm256_cvtps_ph(limited, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

template <bool Half>
ASCENDSIM_AVX2 ASCENDSIM_INLINE __m256i quantize(__m256 x, __m256 scale, __m256 offset) {
  const __m256 product = rounded<Half>(_mm256_mul_ps(rounded<Half>(x), scale));
  const __m256 sum = rounded<Half>(_mm256_add_ps(product, offset));
  const __m256 number = _mm256_and_ps(sum, _mm256_cmp_ps(sum, sum, _CMP_ORD_Q));  // NaN becomes 0
  const __m256 clamped =
      _mm256_min_ps(_mm256_max_ps(number, _mm256_set1_ps(-128.0f)), _mm256_set1_ps(127.0f));
  return _mm256_cvtps_epi32(clamped);
}

/** Eight numbers in [-128, 127] as bytes. */
ASCENDSIM_AVX2 ASCENDSIM_INLINE __m128i bytesOf(__m256i numbers) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256(numbers, 1));
  return _mm_packs_epi16(words, words);
}

template <bool Half, class Out, int32_t Shift>
ASCENDSIM_AVX2 ASCENDSIM_INLINE void quantBlocks(const float *x, Out *y, size_t count, float scale, float offset) {
  const __m256 scales = _mm256_set1_ps(scale);
  const __m256 offsets = _mm256_set1_ps(offset);
  const __m128i shift = _mm_set1_epi8(static_cast<char>(Shift));
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i bytes = bytesOf(quantize<Half>(_mm256_loadu_ps(x + i), scales, offsets));
    _mm_storel_epi64(reinterpret_cast<__m128i *>(y + i), _mm_add_epi8(bytes, shift));
  }
  quantLoop<Half, Out, Shift>(x + i, y + i, count - i, scale, offset);
}

template <bool Half>
ASCENDSIM_AVX2 ASCENDSIM_INLINE __m256 dequantize(const int32_t *x, __m256 scale) {
  const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x));
  return rounded<Half>(_mm256_mul_ps(_mm256_cvtepi32_ps(numbers), scale));
}

template <bool Half>
ASCENDSIM_AVX2 ASCENDSIM_INLINE void dequantBlocks(const int32_t *x, float *y, size_t count, float scale) {
  const __m256 scales = _mm256_set1_ps(scale);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, dequantize<Half>(x + i, scales));
  dequantLoop<Half>(x + i, y + i, count - i, scale);
}

template <bool Half>
ASCENDSIM_AVX2 ASCENDSIM_INLINE void dequantRowBlocks(const int32_t *x, const float *scales, float *y, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, dequantize<Half>(x + i, _mm256_loadu_ps(scales + i)));
  ascendsim::dequantRow<Half>(x + i, scales + i, y + i, count - i);
}

template <bool Half>
ASCENDSIM_AVX2 ASCENDSIM_INLINE void antiQuantBlocks(const uint8_t *x, float *y, size_t count, float scale, float offset) {
  const __m256 scales = _mm256_set1_ps(scale);
  const __m256 offsets = _mm256_set1_ps(offset);
  const __m256i shift = _mm256_set1_epi32(128);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(x + i)));
    const __m256 q = _mm256_cvtepi32_ps(_mm256_sub_epi32(bytes, shift));
    _mm256_storeu_ps(y + i, rounded<Half>(_mm256_mul_ps(rounded<Half>(_mm256_sub_ps(q, offsets)), scales)));
  }
  antiQuantLoop<Half>(x + i, y + i, count - i, scale, offset);
}

}  // namespace

bool available() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("f16c") != 0; }

ASCENDSIM_AVX2 void round(const float *x, float *y, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, rounded<true>(_mm256_loadu_ps(x + i)));
  roundLoop(x + i, y + i, count - i);
}

ASCENDSIM_AVX2 void quantU8(const float *x, uint8_t *y, size_t count, float scale, float offset, bool half) {
  if (half) {
    quantBlocks<true, uint8_t, 128>(x, y, count, scale, offset);
  } else {
    quantBlocks<false, uint8_t, 128>(x, y, count, scale, offset);
  }
}

ASCENDSIM_AVX2 void quantS8(const float *x, int8_t *y, size_t count, float scale, float offset, bool half) {
  if (half) {
    quantBlocks<true, int8_t, 0>(x, y, count, scale, offset);
  } else {
    quantBlocks<false, int8_t, 0>(x, y, count, scale, offset);
  }
}

ASCENDSIM_AVX2 void dequant(const int32_t *x, float *y, size_t count, float scale, bool half) {
  if (half) {
    dequantBlocks<true>(x, y, count, scale);
  } else {
    dequantBlocks<false>(x, y, count, scale);
  }
}

ASCENDSIM_AVX2 void dequantRow(const int32_t *x, const float *scales, float *y, size_t count, bool half) {
  if (half) {
    dequantRowBlocks<true>(x, scales, y, count);
  } else {
    dequantRowBlocks<false>(x, scales, y, count);
  }
}

ASCENDSIM_AVX2 void antiQuant(const uint8_t *x, float *y, size_t count, float scale, float offset, bool half) {
  if (half) {
    antiQuantBlocks<true>(x, y, count, scale, offset);
  } else {
    antiQuantBlocks<false>(x, y, count, scale, offset);
  }
}

}  // namespace ascendsim::avx2

#endif
