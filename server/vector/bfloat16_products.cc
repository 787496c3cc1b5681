#include "server/vector/bfloat16_products.h"

#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIFESCOPE_BFLOAT16_X86
#include <immintrin.h>
#endif

namespace lifescope {
namespace {

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
float First(int32_t pair) { return FromBits(static_cast<uint32_t>(pair) << 16); }
float Second(int32_t pair) { return FromBits(static_cast<uint32_t>(pair) & 0xffff0000u); }

#if defined(LIFESCOPE_BFLOAT16_X86)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bf16,prefer-vector-width=512")

// Sums of so many rows and groups are in registers at once.
constexpr int kBlockRows = 6;
constexpr int kBlockGroups = 4;

template <int kRows, int kGroups>
void Block(const int32_t* left, const int32_t* right, int64_t pairs, int64_t count, __mmask16 last, float* out) {
  __m512 sums[kRows][kGroups];
  for (int r = 0; r < kRows; ++r) {
    for (int g = 0; g < kGroups; ++g) sums[r][g] = _mm512_setzero_ps();
  }
  for (int64_t p = 0; p < pairs; ++p) {
    __m512bh columns[kGroups];
    for (int g = 0; g < kGroups; ++g) {
      columns[g] = (__m512bh)_mm512_loadu_si512(right + (g * pairs + p) * kBfloat16Group);
    }
    for (int r = 0; r < kRows; ++r) {
      const __m512bh row = (__m512bh)_mm512_set1_epi32(left[r * pairs + p]);
      for (int g = 0; g < kGroups; ++g) sums[r][g] = _mm512_dpbf16_ps(sums[r][g], row, columns[g]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int g = 0; g < kGroups; ++g) {
      const __mmask16 stored = g + 1 < kGroups ? static_cast<__mmask16>(0xffff) : last;
      _mm512_mask_storeu_ps(out + r * count + g * kBfloat16Group, stored, sums[r][g]);
    }
  }
}

template <int kGroups>
void AllRows(const int32_t* left, int64_t rows, const int32_t* right, int64_t pairs, int64_t count, __mmask16 last,
             float* out) {
  int64_t r = 0;
  for (; r + kBlockRows <= rows; r += kBlockRows) {
    Block<kBlockRows, kGroups>(left + r * pairs, right, pairs, count, last, out + r * count);
  }
  for (; r < rows; ++r) Block<1, kGroups>(left + r * pairs, right, pairs, count, last, out + r * count);
}

void Avx512Bfloat16Products(const int32_t* left, int64_t rows, const int32_t* right, int64_t count, int64_t pairs,
                            float* out) {
  const int64_t groups = (count + kBfloat16Group - 1) / kBfloat16Group;
  const auto rest = static_cast<__mmask16>(0xffff >> (groups * kBfloat16Group - count));
  for (int64_t g = 0; g < groups; g += kBlockGroups) {
    const int32_t* block = right + g * pairs * kBfloat16Group;
    float* place = out + g * kBfloat16Group;
    const __mmask16 last = g + kBlockGroups >= groups ? rest : static_cast<__mmask16>(0xffff);
    switch (groups - g) {
      case 1:
        AllRows<1>(left, rows, block, pairs, count, last, place);
        break;
      case 2:
        AllRows<2>(left, rows, block, pairs, count, last, place);
        break;
      case 3:
        AllRows<3>(left, rows, block, pairs, count, last, place);
        break;
      default:
        AllRows<kBlockGroups>(left, rows, block, pairs, count, last, place);
    }
  }
}

#pragma GCC pop_options
#endif

}  // namespace

bool HasBfloat16Products() {
#if defined(LIFESCOPE_BFLOAT16_X86)
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
  return has;
#else
  return false;
#endif
}

void PortableBfloat16Products(const int32_t* left, int64_t rows, const int32_t* right, int64_t count, int64_t pairs,
                              float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < count; ++i) {
      const int32_t* row = right + i / kBfloat16Group * pairs * kBfloat16Group + i % kBfloat16Group;
      float sum = 0;
      for (int64_t p = 0; p < pairs; ++p) {
        const int32_t a = left[r * pairs + p], b = row[p * kBfloat16Group];
        sum += First(a) * First(b) + Second(a) * Second(b);
      }
      out[r * count + i] = sum;
    }
  }
}

void Bfloat16Products(const int32_t* left, int64_t rows, const int32_t* right, int64_t count, int64_t pairs,
                      float* out) {
#if defined(LIFESCOPE_BFLOAT16_X86)
  if (HasBfloat16Products()) return Avx512Bfloat16Products(left, rows, right, count, pairs, out);
#endif
  PortableBfloat16Products(left, rows, right, count, pairs, out);
}

}  // namespace lifescope
