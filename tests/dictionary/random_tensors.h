// Seeded random tensors for tests.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>

namespace lifescope {

class RandomTensors {
 public:
  explicit RandomTensors(uint64_t seed) : generator_(at::make_generator<at::CPUGeneratorImpl>(seed)) {}

  at::Tensor Normal(at::IntArrayRef sizes, at::ScalarType dtype = at::kDouble) {
    return at::empty(sizes, at::kDouble).normal_(0, 1, generator_).to(dtype);
  }
  at::Tensor Uniform(at::IntArrayRef sizes, double low, double high, at::ScalarType dtype = at::kDouble) {
    return at::empty(sizes, at::kDouble).uniform_(low, high, generator_).to(dtype);
  }
  // Rows of norm 1.
  at::Tensor Directions(int64_t count, int64_t width, at::ScalarType dtype = at::kDouble) {
    const at::Tensor rows = Normal({count, width}, dtype);
    return rows / at::norm(rows, 2, 1, true);
  }

 private:
  at::Generator generator_;
};

}  // namespace lifescope
