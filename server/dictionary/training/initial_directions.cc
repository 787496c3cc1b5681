#include "server/dictionary/training/initial_directions.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include <limits>

#include "server/dictionary/training/decoder_constraint.h"

namespace lifescope {

void CheckWidths(int64_t input_dim, int64_t feature_count) {
  TORCH_CHECK_VALUE(input_dim > 0, "input_dim is ", input_dim, ", expected at least 1");
  TORCH_CHECK_VALUE(feature_count > 0 && feature_count <= std::numeric_limits<int32_t>::max(), "feature_count is ",
                    feature_count, ", expected 1 to 2^31 - 1");
}

at::Tensor RandomUnitRows(int64_t rows, int64_t width, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  at::Tensor directions = at::empty({rows, width}, at::kDouble).normal_(0, 1, generator);
  NormaliseRows(0, directions);
  return directions;
}

at::Tensor RandomUniform(int64_t count, double bound, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::empty({count}, at::kDouble).uniform_(-bound, bound, generator);
}

}  // namespace lifescope
