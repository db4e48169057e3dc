// The vectorised operators against slow scalar arithmetic in double precision, bit for bit.
#include <cmath>
#include <random>
#include <vector>

#include "acl/acl.h"
#include "check.h"
#include "fp16.h"
#include "quant_math.h"

using namespace ascendsim;

namespace {

/** binary16 by definition: the nearest multiple of the step at that magnitude, ties to even, saturating. */
double halfByDefinition(double x) {
  if (std::isnan(x) || x == 0) return x;
  if (std::isinf(x)) return std::copysign(65504.0, x);
  const int exponent = std::max(std::ilogb(x), -14);
  const double step = std::ldexp(1.0, exponent - 10);
  const double rounded = std::nearbyint(x / step) * step;
  return std::fabs(rounded) > 65504.0 ? std::copysign(65504.0, x) : rounded;
}

/** Values where rounding is decided: every binary16 number, the middles between neighbours, and just beside them. */
std::vector<float> criticalValues() {
  std::vector<float> values = {INFINITY, -INFINITY, 65519.99f, 65520.0f, 1e30f, -1e30f, 1e-30f, 1e-45f, 0.0f, -0.0f};
  for (int bits = 0; bits < 0x7C00; ++bits) {
    const float value = aclFloat16ToFloat(static_cast<aclFloat16>(bits));
    const float next = aclFloat16ToFloat(static_cast<aclFloat16>(bits + 1));
    const float middle = (value + next) / 2;
    for (const float v : {value, middle, std::nextafterf(middle, 0.0f), std::nextafterf(middle, INFINITY)}) {
      values.push_back(v);
      values.push_back(-v);
    }
  }
  std::mt19937 random(7);
  for (int i = 0; i < 200'000; ++i) {
    const float value = bitsFloat(static_cast<uint32_t>(random()));
    if (!std::isnan(value)) values.push_back(value);
  }
  return values;
}

std::vector<float> activations(size_t count, float spread) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> values(count);
  for (float &value : values) value = normal(random);
  values[0] = INFINITY;
  values[1] = -INFINITY;
  values[2] = 0.25f;  // ties for scale 10, offset 0
  values[3] = -0.25f;
  return values;
}

int quantByDefinition(double x, double scale, double offset, bool fp16) {
  double sum = 0;
  if (fp16) {
    sum = halfByDefinition(halfByDefinition(halfByDefinition(x) * halfByDefinition(scale)) + halfByDefinition(offset));
  } else {
    const float product = static_cast<float>(x) * static_cast<float>(scale);
    sum = static_cast<double>(static_cast<float>(product + static_cast<float>(offset)));
  }
  return static_cast<int>(std::nearbyint(std::fmin(std::fmax(sum, -128.0), 127.0)));
}

/** A test of the portable loops and of those for this processor. */
#define BOTH_VERSIONS(name)          \
  static void both_##name();         \
  TEST(name##_portably) {            \
    CHECK(usePortableLoops(true));   \
    both_##name();                   \
    usePortableLoops(false);         \
  }                                  \
  TEST(name) { both_##name(); }      \
  static void both_##name()

}  // namespace

BOTH_VERSIONS(round_fp16_matches_the_definition_on_critical_values) {
  const std::vector<float> x = criticalValues();
  std::vector<float> y(x.size());
  roundFp16(x.data(), y.data(), x.size());
  int wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const float expected = static_cast<float>(halfByDefinition(static_cast<double>(x[i])));
    if (floatBits(y[i]) != floatBits(expected) && wrong++ < 3) CHECK_EQ(y[i], expected);
  }
  CHECK_EQ(wrong, 0);
}

BOTH_VERSIONS(round_fp16_keeps_nan_and_every_tail_length) {
  for (size_t count = 0; count < 40; ++count) {
    std::vector<float> x(count, 1.0009765f);
    std::vector<float> y(count, 0.0f);
    if (count > 0) x[count - 1] = NAN;
    roundFp16(x.data(), y.data(), count);
    for (size_t i = 0; i + 1 < count; ++i) CHECK_EQ(y[i], 1.0009765625f);
    if (count > 0) CHECK(std::isnan(y[count - 1]));
  }
}

BOTH_VERSIONS(ascend_quant_matches_the_definition) {
  const std::vector<float> x = activations(50'000, 6.0f);
  std::vector<uint8_t> u8(x.size());
  std::vector<int8_t> s8(x.size());
  for (const bool fp16 : {true, false}) {
    for (const auto &[scale, offset] : {std::pair<float, float>{10.0f, 0.0f}, {3.14159f, -17.0f}, {0.001f, 127.0f},
                                        {1234.5f, -128.0f}}) {
      const QuantParameters parameters{scale, offset, fp16};
      ascendQuantU8(x.data(), u8.data(), x.size(), parameters);
      ascendQuantS8(x.data(), s8.data(), x.size(), parameters);
      int wrong = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const int expected = quantByDefinition(static_cast<double>(x[i]), static_cast<double>(scale),
                                               static_cast<double>(offset), fp16);
        if (static_cast<int>(s8[i]) != expected || static_cast<int>(u8[i]) != expected + 128) ++wrong;
      }
      CHECK_EQ(wrong, 0);
    }
  }
}

BOTH_VERSIONS(ascend_quant_rounds_half_to_even_and_turns_nan_into_zero) {
  const std::vector<float> x = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, NAN, 1000.0f, -1000.0f};
  const std::vector<int> expected = {0, 2, 2, 0, -2, 0, 127, -128};
  std::vector<int8_t> q(x.size());
  ascendQuantS8(x.data(), q.data(), x.size(), {1.0f, 0.0f, true});
  for (size_t i = 0; i < x.size(); ++i) CHECK_EQ(static_cast<int>(q[i]), expected[i]);
}

BOTH_VERSIONS(ascend_dequant_uses_one_scale_per_channel) {
  std::mt19937 random(3);
  const size_t outer = 3, channels = 5, inner = 7;
  std::vector<int32_t> x(outer * channels * inner);
  for (int32_t &value : x) value = static_cast<int32_t>(random() % 2'000'000) - 1'000'000;
  const std::vector<float> scales = {1e-5f, 0.001f, 0.5f, 0.03125f, 2.0f};
  std::vector<float> y(x.size());
  for (const bool fp16 : {true, false}) {
    ascendDequant(x.data(), scales.data(), y.data(), outer, channels, inner, fp16);
    for (size_t i = 0; i < x.size(); ++i) {
      const float product = static_cast<float>(x[i]) * scales[i / inner % channels];
      CHECK_EQ(y[i], fp16 ? static_cast<float>(halfByDefinition(static_cast<double>(product))) : product);
    }
    // Channels last.
    ascendDequant(x.data(), scales.data(), y.data(), x.size() / channels, channels, 1, fp16);
    for (size_t i = 0; i < x.size(); ++i) {
      const float product = static_cast<float>(x[i]) * scales[i % channels];
      CHECK_EQ(y[i], fp16 ? static_cast<float>(halfByDefinition(static_cast<double>(product))) : product);
    }
  }
}

BOTH_VERSIONS(ascend_anti_quant_matches_the_definition) {
  std::vector<uint8_t> q(256);
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<uint8_t>(i);
  std::vector<float> y(q.size());
  for (const bool fp16 : {true, false}) {
    ascendAntiQuant(q.data(), y.data(), q.size(), {0.0371f, 23.0f, fp16});
    for (size_t i = 0; i < q.size(); ++i) {
      const double number = static_cast<double>(i) - 128.0 - 23.0;
      const float expected =
          fp16 ? static_cast<float>(halfByDefinition(number * halfByDefinition(static_cast<double>(0.0371f))))
               : static_cast<float>(number) * 0.0371f;
      CHECK_EQ(y[i], expected);
    }
  }
}

TEST(ascend_bias_saturates_and_uses_one_value_per_channel) {
  const std::vector<int32_t> critical = {0, 1, -1, 1000, -1000, INT32_MAX, INT32_MIN, INT32_MAX - 1, INT32_MIN + 1};
  for (const size_t inner : {size_t{1}, size_t{3}, size_t{17}}) {
    std::vector<int32_t> x;
    for (const int32_t sum : critical) {
      for (size_t c = 0; c < critical.size() * inner; ++c) x.push_back(sum);
    }
    std::vector<int32_t> y(x.size());
    ascendBias(x.data(), critical.data(), y.data(), critical.size(), critical.size(), inner);
    for (size_t i = 0; i < x.size(); ++i) {
      const int64_t sum = static_cast<int64_t>(x[i]) + critical[i / inner % critical.size()];
      CHECK_EQ(y[i], static_cast<int32_t>(std::max<int64_t>(INT32_MIN, std::min<int64_t>(INT32_MAX, sum))));
    }
  }
}

TEST(acl_float16_has_no_infinity) {
  CHECK_EQ(aclFloat16ToFloat(0x7C00), 65536.0f);
  CHECK_EQ(aclFloat16ToFloat(0x7E00), 98304.0f);
  CHECK_EQ(aclFloat16ToFloat(0x3C00), 1.0f);
  CHECK_EQ(aclFloat16ToFloat(0xC000), -2.0f);
  CHECK_EQ(aclFloat16ToFloat(0x0001), 5.9604644775390625e-08f);
  CHECK_EQ(static_cast<int>(aclFloatToFloat16(1e9f)), 0x7BFF);
  CHECK_EQ(static_cast<int>(aclFloatToFloat16(-1e9f)), 0xFBFF);
  for (int bits = 0; bits < 0x7C00; ++bits) {
    CHECK_EQ(static_cast<int>(aclFloatToFloat16(aclFloat16ToFloat(static_cast<aclFloat16>(bits)))), bits);
  }
}

TEST(acl_data_type_sizes) {
  CHECK_EQ(aclDataTypeSize(ACL_FLOAT), size_t{4});
  CHECK_EQ(aclDataTypeSize(ACL_BF16), size_t{2});
  CHECK_EQ(aclDataTypeSize(ACL_INT4), size_t{1});
  CHECK_EQ(aclDataTypeSize(ACL_COMPLEX128), size_t{16});
  CHECK_EQ(aclDataTypeSize(ACL_STRING), size_t{0});
  CHECK_EQ(aclDataTypeSize(ACL_DT_UNDEFINED), size_t{0});
}
