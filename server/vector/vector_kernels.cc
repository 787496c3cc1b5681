#include "server/vector/vector_kernels.h"

#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The body is compiled once for each instruction set, in a namespace of its own.
namespace lifescope {
namespace portable {
#include "server/vector/vector_kernels_body.inc"
}  // namespace portable

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIFESCOPE_VECTOR_X86

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define LIFESCOPE_VECTOR_AVX2
#include "server/vector/vector_kernels_body.inc"
#undef LIFESCOPE_VECTOR_AVX2
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,prefer-vector-width=512")
namespace avx512 {
#define LIFESCOPE_VECTOR_AVX512
#include "server/vector/vector_kernels_body.inc"
#undef LIFESCOPE_VECTOR_AVX512
}  // namespace avx512
#pragma GCC pop_options
#endif

const std::vector<InstructionSet>& SupportedInstructionSets() {
  static const std::vector<InstructionSet> supported = [] {
    std::vector<InstructionSet> sets{InstructionSet::kPortable};
#if defined(LIFESCOPE_VECTOR_X86)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) sets.push_back(InstructionSet::kAvx2);
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
      sets.push_back(InstructionSet::kAvx512);
    }
#endif
    return sets;
  }();
  return supported;
}

template <typename T>
const VectorKernels<T>& KernelsOf(InstructionSet set) {
  switch (set) {
#if defined(LIFESCOPE_VECTOR_X86)
    case InstructionSet::kAvx2:
      return avx2::kKernels<T>;
    case InstructionSet::kAvx512:
      return avx512::kKernels<T>;
#endif
    default:
      return portable::kKernels<T>;
  }
}

template <typename T>
const VectorKernels<T>& Kernels() {
  static const VectorKernels<T>& kernels = KernelsOf<T>(SupportedInstructionSets().back());
  return kernels;
}

template const VectorKernels<float>& KernelsOf<float>(InstructionSet);
template const VectorKernels<double>& KernelsOf<double>(InstructionSet);
template const VectorKernels<float>& Kernels<float>();
template const VectorKernels<double>& Kernels<double>();

}  // namespace lifescope
