// Rows with known directions in superposition: the toy data of the interim report on sparse autoencoders (HoagyC,
// sparse_coding), which goldens benchmark/toy_* were drawn from.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

struct ToySuperpositionOptions {
  double mean_active = 5;  // of the components of a row, before decay
  double decay = 0.99;     // component i has probability mean_active / count * decay^i
  // [count, count], positive definite: probabilities are then those of a normal draw per block of rows, weighted by
  // decay^i and scaled to the mean mean_active / count. Undefined: components are independent.
  at::Tensor correlation;
};

// Not thread-safe. The same seed gives the same rows.
class ToySuperposition {
 public:
  // `directions` [count, width] of norm 1.
  ToySuperposition(const at::Tensor& directions, const ToySuperpositionOptions& options, uint64_t seed);

  // The next block: float32 [count, width], sums of the directions that are active, each times a value from (0, 1).
  // Of correlated ones an empty row gets one component at random, with 1.
  at::Tensor Rows(int64_t count);

 private:
  at::Tensor Probabilities();

  at::Tensor directions_, decay_, factor_;  // factor_: Cholesky's, of the correlation
  ToySuperpositionOptions options_;
  at::Generator generator_;
};

}  // namespace lifescope
