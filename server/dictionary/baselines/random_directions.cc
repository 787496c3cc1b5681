#include "server/dictionary/baselines/random_directions.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

namespace lifescope {

at::Tensor RandomDirections(int64_t count, int64_t width, uint64_t seed, bool is_unit_norm) {
  TORCH_CHECK_VALUE(count > 0 && width > 0, count, " directions of width ", width, ", expected at least 1 of each");
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor rows = at::empty({count, width}, at::kDouble).normal_(0, 1, generator);
  return is_unit_norm ? rows / at::norm(rows, 2, 1, true) : rows;
}

}  // namespace lifescope
