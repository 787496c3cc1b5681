#include "server/dictionary/training/decoder_constraint.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "server/vector/vector_kernels.h"

namespace lifescope {
namespace {

// Rows that one task of a parallel loop takes at least.
constexpr int64_t kGrain = 64;

bool IsPlain(const at::Tensor& rows) {
  return rows.is_cpu() && rows.dim() == 2 && rows.is_contiguous() &&
         (rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble);
}

}  // namespace

void NormaliseRows(double epsilon, at::Tensor& directions) {
  if (epsilon == DecoderConstraint::kEpsilonOfType) {
    epsilon = directions.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                      : std::numeric_limits<float>::epsilon();
  }
  if (!IsPlain(directions)) {
    directions.div_(at::norm(directions, 2, 1, true).add_(epsilon));
    return;
  }
  const int64_t width = directions.size(1);
  AT_DISPATCH_FLOATING_TYPES(directions.scalar_type(), "NormaliseRows", [&] {
    const VectorKernels<scalar_t>& kernels = Kernels<scalar_t>();
    scalar_t* rows = directions.data_ptr<scalar_t>();
    at::parallel_for(0, directions.size(0), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        scalar_t* row = rows + i * width;
        const scalar_t norm = std::sqrt(kernels.dot(row, row, width));
        kernels.scale(1 / (norm + static_cast<scalar_t>(epsilon)), width, row);
      }
    });
  });
}

at::Tensor OrthogonalTo(const at::Tensor& directions, const at::Tensor& gradient, double epsilon) {
  const at::Tensor unit = directions / at::norm(directions, 2, 1, true).add_(epsilon);
  const at::Tensor parallel = (gradient * unit).sum(1, true);
  return at::addcmul(gradient, parallel, unit, -1);
}

void RemoveParallel(const at::Tensor& directions, double epsilon, at::Tensor& gradient) {
  if (!IsPlain(directions) || !IsPlain(gradient)) {
    gradient = OrthogonalTo(directions, gradient, epsilon);
    return;
  }
  const int64_t width = directions.size(1);
  AT_DISPATCH_FLOATING_TYPES(directions.scalar_type(), "RemoveParallel", [&] {
    const VectorKernels<scalar_t>& kernels = Kernels<scalar_t>();
    const scalar_t* rows = directions.data_ptr<scalar_t>();
    scalar_t* gradients = gradient.data_ptr<scalar_t>();
    at::parallel_for(0, directions.size(0), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const scalar_t* row = rows + i * width;
        scalar_t* out = gradients + i * width;
        const scalar_t norm = std::sqrt(kernels.dot(row, row, width)) + static_cast<scalar_t>(epsilon);
        kernels.add_scaled(-kernels.dot(row, out, width) / (norm * norm), row, width, out);
      }
    });
  });
}

}  // namespace lifescope
