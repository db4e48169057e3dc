// Arithmetic of the operators in domain `ascendsim`, over arrays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ascendsim {

/** Parameters of AscendQuant and AscendAntiQuant. With `fp16` every operand and intermediate is binary16. */
struct QuantParameters {
  float scale = 1;
  float offset = 0;
  bool fp16 = true;
};

void roundFp16(const float *x, float *y, size_t count);
/** q = clamp(round_half_even(x * scale + offset), -128, 127), stored as q + 128. NaN becomes 0. */
void ascendQuantU8(const float *x, uint8_t *y, size_t count, const QuantParameters &parameters);
void ascendQuantS8(const float *x, int8_t *y, size_t count, const QuantParameters &parameters);
/**
 * y = x * scale. `channels` scales, each for `inner` successive elements, repeated `outer` times.
 * With `fp16` the result is rounded to binary16.
 */
void ascendDequant(const int32_t *x, const float *scales, float *y, size_t outer, size_t channels, size_t inner,
                   bool fp16);
/** y = x + bias, limited to int32. `channels` biases, each for `inner` successive elements, repeated `outer` times. */
void ascendBias(const int32_t *x, const int32_t *bias, int32_t *y, size_t outer, size_t channels, size_t inner);
/** y = scale * (q - offset), q stored as q + 128. */
void ascendAntiQuant(const uint8_t *x, float *y, size_t count, const QuantParameters &parameters);

/** For tests: leaves out the versions for particular processors. Returns whether the portable loops are in use. */
bool usePortableLoops(bool portable);

}  // namespace ascendsim
