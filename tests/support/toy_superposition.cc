#include "tests/support/toy_superposition.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

namespace lifescope {

ToySuperposition::ToySuperposition(const at::Tensor& directions, const ToySuperpositionOptions& options, uint64_t seed)
    : directions_(directions.to(at::kFloat)),
      decay_(at::pow(options.decay, at::arange(directions.size(0), at::kDouble))),
      options_(options),
      generator_(at::make_generator<at::CPUGeneratorImpl>(seed)) {
  if (options.correlation.defined()) factor_ = at::linalg_cholesky(options.correlation.to(at::kDouble));
}

at::Tensor ToySuperposition::Probabilities() {
  const double mean = options_.mean_active / static_cast<double>(decay_.numel());
  if (!factor_.defined()) return decay_ * mean;
  const at::Tensor normal = factor_.mv(at::empty_like(decay_).normal_(0, 1, generator_));
  const at::Tensor uniform = (at::erf(normal / std::sqrt(2.0)) + 1) / 2;
  const at::Tensor weighted = uniform * decay_;
  return weighted * (mean / weighted.mean());
}

at::Tensor ToySuperposition::Rows(int64_t count) {
  const int64_t components = directions_.size(0);
  const auto uniform = [&] { return at::empty({count, components}, at::kFloat).uniform_(0, 1, generator_); };
  const at::Tensor active = uniform() <= Probabilities().to(at::kFloat);
  at::Tensor codes = uniform() * active;
  if (factor_.defined()) {
    const at::Tensor empty = active.any(1).logical_not().nonzero().select(1, 0);
    const at::Tensor chosen = at::empty({empty.numel()}, at::kLong).random_(0, components, generator_);
    codes.index_put_({empty, chosen}, at::ones({}, at::kFloat));
  }
  return codes.mm(directions_);
}

}  // namespace lifescope
