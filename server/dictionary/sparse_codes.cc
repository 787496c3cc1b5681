#include "server/dictionary/sparse_codes.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {
namespace {

void CheckWidths(const at::Tensor& x, const at::Tensor& directions) {
  TORCH_CHECK_VALUE(directions.dim() == 2, "directions have shape ", directions.sizes(), ", expected [n, width]");
  TORCH_CHECK_VALUE(x.dim() == 2 && x.size(1) == directions.size(1), "x has shape ", x.sizes(), ", expected [rows, ",
                    directions.size(1), "]");
}

at::Tensor Shrink(at::Tensor values, double by, bool is_non_negative) {
  if (is_non_negative) return values.sub_(by).clamp_min_(0);
  return values.sign() * (values.abs() - by).clamp_min(0);
}

}  // namespace

double LargestEigenvalue(const at::Tensor& directions) {
  const at::Tensor d = directions.to(at::kCPU, at::kDouble);
  const at::Tensor gram = d.size(0) < d.size(1) ? d.mm(d.t()) : d.t().mm(d);
  return at::linalg_eigvalsh(gram).max().item<double>();
}

at::Tensor ShrinkageCodes(const at::Tensor& x, const at::Tensor& directions, double largest_eigenvalue,
                          const ShrinkageOptions& options) {
  CheckWidths(x, directions);
  TORCH_CHECK_VALUE(std::isfinite(largest_eigenvalue) && largest_eigenvalue > 0, "the largest eigenvalue is ",
                    largest_eigenvalue, ", expected a finite number above 0");
  TORCH_CHECK_VALUE(std::isfinite(options.l1) && options.l1 >= 0, "l1 is ", options.l1, ", expected 0 or more");
  TORCH_CHECK_VALUE(options.iterations > 0, "iterations: ", options.iterations, ", expected at least 1");
  const double step = 1 / largest_eigenvalue;
  at::Tensor codes = at::zeros({x.size(0), directions.size(0)}, x.options());
  at::Tensor point = codes;
  // The momentum's own clock, of each row.
  at::Tensor time = at::ones({x.size(0), 1}, x.options());
  for (int64_t i = 0; i < options.iterations; ++i) {
    const at::Tensor residual = at::addmm(x, point, directions, 1, -1);
    const at::Tensor next =
        Shrink(at::addmm(point, residual, directions.t(), 1, step), step * options.l1, options.is_non_negative);
    const at::Tensor move = next - codes;
    codes = next;
    if (options.momentum == Momentum::kNone) {
      point = next;
      continue;
    }
    if (options.momentum == Momentum::kRestarted) time.masked_fill_((point - next).mul_(move).sum(1, true) > 0, 1);
    const at::Tensor next_time = (time.square() * 4 + 1).sqrt_().add_(1).div_(2);
    point = at::addcmul(next, move, (time - 1) / next_time);
    time = next_time;
  }
  return codes;
}

at::Tensor GradientPursuitCodes(const at::Tensor& x, const at::Tensor& directions, int64_t k) {
  CheckWidths(x, directions);
  TORCH_CHECK_VALUE(k > 0 && k <= directions.size(0), "k is ", k, ", expected 1 to the number of directions, ",
                    directions.size(0));
  at::Tensor codes = at::zeros({x.size(0), directions.size(0)}, x.options());
  at::Tensor active = at::zeros_like(codes);
  for (int64_t i = 0; i < k; ++i) {
    const at::Tensor residual = at::addmm(x, codes, directions, 1, -1);
    const at::Tensor inner = residual.mm(directions.t());
    active = active.scatter(1, inner.argmax(1, true), 1);
    const at::Tensor gradient = active * inner;
    const at::Tensor change = gradient.mm(directions);
    // A row without gradient stays as it is.
    const at::Tensor squared_norm = change.square().sum(1, true);
    const at::Tensor step = (change * residual).sum(1, true) / squared_norm.masked_fill(squared_norm == 0, 1);
    codes = at::addcmul(codes, step, gradient).clamp_min_(0);
  }
  return codes;
}

}  // namespace lifescope
