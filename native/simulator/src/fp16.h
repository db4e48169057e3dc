// binary16 as the Ascend vector unit rounds to it: nearest, ties to even, overflow saturating, subnormals kept.
#pragma once

#include <cstdint>
#include <cstring>

namespace ascendsim {

inline uint32_t floatBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float bitsFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/**
 * The binary16 value nearest to `x`, as a float. Branch-free, so that loops over it vectorise.
 * Below 2^-14 binary16 has a fixed step of 2^-24, which is the spacing of float32 in [0.5, 1): adding 0.5 rounds to it.
 */
inline float roundToHalf(float x) {
  const uint32_t bits = floatBits(x);
  const uint32_t sign = bits & 0x80000000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  // Compared as signed numbers (for which SSE2 has an instruction); only NaN wraps, and is replaced below.
  const int32_t normal = static_cast<int32_t>((magnitude + 0x0FFFu + ((magnitude >> 13) & 1u)) & ~0x1FFFu);
  const int32_t saturated = normal > 0x477FE000 ? 0x477FE000 : normal;  // 65504
  const int32_t small = static_cast<int32_t>(floatBits((bitsFloat(magnitude) + 0.5f) - 0.5f));
  const int32_t number = static_cast<int32_t>(magnitude) < 0x38800000 ? small : saturated;  // 2^-14
  const int32_t kept = static_cast<int32_t>(magnitude) > 0x7F800000 ? static_cast<int32_t>(magnitude) : number;  // NaN
  const uint32_t rounded = static_cast<uint32_t>(kept);
  return bitsFloat(rounded | sign);
}

}  // namespace ascendsim
