#include "server/dictionary/training/decoder_constraint.h"

#include <ATen/ATen.h>

#include <limits>

namespace lifescope {

void NormaliseRows(double epsilon, at::Tensor& directions) {
  if (epsilon == DecoderConstraint::kEpsilonOfType) {
    epsilon = directions.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                      : std::numeric_limits<float>::epsilon();
  }
  directions.div_(at::norm(directions, 2, 1, true).add_(epsilon));
}

at::Tensor OrthogonalTo(const at::Tensor& directions, const at::Tensor& gradient, double epsilon) {
  const at::Tensor unit = directions / at::norm(directions, 2, 1, true).add_(epsilon);
  const at::Tensor parallel = (gradient * unit).sum(1, true);
  return at::addcmul(gradient, parallel, unit, -1);
}

}  // namespace lifescope
