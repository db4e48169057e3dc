// Chooses between the AVX2 and the portable versions of the operators.
#include "quant_math.h"

#include <atomic>

#include "quant_loops.h"

namespace ascendsim {
namespace {

#if defined(__x86_64__)
std::atomic<bool> useAvx2{avx2::available()};
#define ASCENDSIM_AVX2_CALL(call)                          \
  do {                                                     \
    if (useAvx2.load(std::memory_order_relaxed)) {         \
      call;                                                \
      return;                                              \
    }                                                      \
  } while (false)
#else
#define ASCENDSIM_AVX2_CALL(call)
#endif

/** With `fp16` the parameters are binary16, too. */
struct Rounded {
  explicit Rounded(const QuantParameters &p)
      : scale(p.fp16 ? roundToHalf(p.scale) : p.scale), offset(p.fp16 ? roundToHalf(p.offset) : p.offset) {}
  float scale;
  float offset;
};

void dequantChannel(const int32_t *x, float *y, size_t count, float scale, bool fp16) {
  ASCENDSIM_AVX2_CALL(avx2::dequant(x, y, count, scale, fp16));
  if (fp16) {
    dequantLoop<true>(x, y, count, scale);
  } else {
    dequantLoop<false>(x, y, count, scale);
  }
}

void dequantChannels(const int32_t *x, const float *scales, float *y, size_t count, bool fp16) {
  ASCENDSIM_AVX2_CALL(avx2::dequantRow(x, scales, y, count, fp16));
  if (fp16) {
    dequantRow<true>(x, scales, y, count);
  } else {
    dequantRow<false>(x, scales, y, count);
  }
}

}  // namespace

bool usePortableLoops(bool portable) {
#if defined(__x86_64__)
  useAvx2.store(!portable && avx2::available());
  return !useAvx2.load();
#else
  (void)portable;
  return true;
#endif
}

void roundFp16(const float *x, float *y, size_t count) {
  ASCENDSIM_AVX2_CALL(avx2::round(x, y, count));
  roundLoop(x, y, count);
}

void ascendQuantU8(const float *x, uint8_t *y, size_t count, const QuantParameters &parameters) {
  const Rounded p(parameters);
  ASCENDSIM_AVX2_CALL(avx2::quantU8(x, y, count, p.scale, p.offset, parameters.fp16));
  if (parameters.fp16) {
    quantLoop<true, uint8_t, 128>(x, y, count, p.scale, p.offset);
  } else {
    quantLoop<false, uint8_t, 128>(x, y, count, p.scale, p.offset);
  }
}

void ascendQuantS8(const float *x, int8_t *y, size_t count, const QuantParameters &parameters) {
  const Rounded p(parameters);
  ASCENDSIM_AVX2_CALL(avx2::quantS8(x, y, count, p.scale, p.offset, parameters.fp16));
  if (parameters.fp16) {
    quantLoop<true, int8_t, 0>(x, y, count, p.scale, p.offset);
  } else {
    quantLoop<false, int8_t, 0>(x, y, count, p.scale, p.offset);
  }
}

void ascendDequant(const int32_t *x, const float *scales, float *y, size_t outer, size_t channels, size_t inner,
                   bool fp16) {
  for (size_t o = 0; o < outer; ++o) {
    if (inner == 1) {
      dequantChannels(x, scales, y, channels, fp16);
      x += channels;
      y += channels;
      continue;
    }
    for (size_t c = 0; c < channels; ++c, x += inner, y += inner) dequantChannel(x, y, inner, scales[c], fp16);
  }
}

void ascendBias(const int32_t *x, const int32_t *bias, int32_t *y, size_t outer, size_t channels, size_t inner) {
  for (size_t o = 0; o < outer; ++o) {
    if (inner == 1) {
      for (size_t c = 0; c < channels; ++c) y[c] = saturatingSum(x[c], bias[c]);
      x += channels;
      y += channels;
      continue;
    }
    for (size_t c = 0; c < channels; ++c, x += inner, y += inner) {
      for (size_t i = 0; i < inner; ++i) y[i] = saturatingSum(x[i], bias[c]);
    }
  }
}

void ascendAntiQuant(const uint8_t *x, float *y, size_t count, const QuantParameters &parameters) {
  const Rounded p(parameters);
  ASCENDSIM_AVX2_CALL(avx2::antiQuant(x, y, count, p.scale, p.offset, parameters.fp16));
  if (parameters.fp16) {
    antiQuantLoop<true>(x, y, count, p.scale, p.offset);
  } else {
    antiQuantLoop<false>(x, y, count, p.scale, p.offset);
  }
}

}  // namespace ascendsim
