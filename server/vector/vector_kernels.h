// Inner loops over vectors of float or double, compiled for several instruction sets and chosen at run time. The
// results of two sets differ by rounding; on one machine each is deterministic. Pointers need no alignment.
#pragma once

#include <cstdint>
#include <vector>

namespace lifescope {

enum class InstructionSet { kPortable, kAvx2, kAvx512 };

// What this machine runs: kPortable always, then ascending.
const std::vector<InstructionSet>& SupportedInstructionSets();

template <typename T>
struct AdamFactors {
  T shrink;  // of the parameter, before the update
  T beta1, one_minus_beta1, beta2, one_minus_beta2;
  T inverse_root_correction;  // 1 / sqrt(1 - beta2^step)
  T epsilon;
  T step_size;  // learning rate / (1 - beta1^step)
};

// T is float or double; n counts elements, 0 or more.
template <typename T>
struct VectorKernels {
  // The sum of a[j] * b[j].
  T (*dot)(const T* a, const T* b, int64_t n);
  // out[j] += factor * in[j].
  void (*add_scaled)(T factor, const T* in, int64_t n, T* out);
  // out[j] += the sum over e of weights[e] * matrix[rows[e] * n + j], e in [0, count).
  void (*add_rows)(const T* weights, const int32_t* rows, int64_t count, const T* matrix, int64_t n, T* out);
  // values[j] *= factor.
  void (*scale)(T factor, int64_t n, T* values);
  // Those j, ascending, for which values[j] + bias[j] > bound; writes them to `found` (room for n), returns their
  // number. A NaN is not above anything.
  int64_t (*find_above)(const T* values, const T* bias, T bound, int64_t n, int32_t* found);
  // As find_above, with a bound for each j.
  int64_t (*find_above_each)(const T* values, const T* bias, const T* bounds, int64_t n, int32_t* found);
  // One update of Adam.
  void (*adam)(const AdamFactors<T>& factors, const T* gradient, int64_t n, T* first_moment, T* second_moment,
               T* parameter);
};

// Throws nothing; `set` must be one of SupportedInstructionSets().
template <typename T>
const VectorKernels<T>& KernelsOf(InstructionSet set);

// Those of the last of SupportedInstructionSets().
template <typename T>
const VectorKernels<T>& Kernels();

}  // namespace lifescope
