// Keeps the decoder directions at norm 1, in the order of operations of each reference.
#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

struct DecoderConstraint {
  // When rows are divided by their norm.
  enum class Normalise {
    kNever,          // free norms (April 2024, SAELens)
    kBeforeForward,  // sparsify
    kBeforeUpdate,   // after the gradient is known, before the optimiser (BatchTopK's authors, OpenAI)
    kAfterUpdate,    // dictionary_learning
  };
  Normalise normalise = Normalise::kNever;
  // Added to the norm that divides. kEpsilonOfType: the machine epsilon of the dtype.
  static constexpr double kEpsilonOfType = -1;
  double norm_epsilon = 0;
  // Removes from the gradient of each row its part along the row, before clipping and the optimiser.
  bool project_gradient = false;
  // Added to the norm of the row in that projection.
  double projection_epsilon = 0;
};

// In place: every row divided by its norm.
void NormaliseRows(double epsilon, at::Tensor& directions);

// The gradient without the part that would only change the norm of a row of `directions`.
at::Tensor OrthogonalTo(const at::Tensor& directions, const at::Tensor& gradient, double epsilon);

// As OrthogonalTo, in place; on the CPU, where both are contiguous, row by row in the cache.
void RemoveParallel(const at::Tensor& directions, double epsilon, at::Tensor& gradient);

}  // namespace lifescope
