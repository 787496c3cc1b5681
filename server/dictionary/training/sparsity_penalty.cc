#include "server/dictionary/training/sparsity_penalty.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {
namespace {

using Form = SparsityPenalty::Form;

// Rows that one task of a parallel loop takes at least.
constexpr int64_t kGrain = 64;

// x^exponent for x above 0, else 0, and so its gradient.
at::Tensor PowerOfPositive(const at::Tensor& x, double exponent) {
  const at::Tensor positive = x > 0;
  return at::where(positive, at::where(positive, x, at::ones_like(x)).pow(exponent), at::zeros_like(x));
}

double Term(const SparsityPenalty& p, double f) {
  if (p.form == Form::kTanh) return std::tanh(p.tanh_scale * f);
  return p.exponent == 1 ? f : std::pow(f, p.exponent);
}

double TermDerivative(const SparsityPenalty& p, double f, double term) {
  if (p.form == Form::kTanh) return p.tanh_scale * (1 - term * term);
  if (p.exponent == 1) return 1;
  return f > 0 ? p.exponent * term / f : 0;
}

}  // namespace

void CheckPenalty(const SparsityPenalty& penalty) {
  const auto check = [](const char* name, double value) {
    TORCH_CHECK_VALUE(std::isfinite(value) && value > 0, "sparsity penalty: ", name, " is ", value,
                      ", expected above 0");
  };
  check("exponent", penalty.exponent);
  check("tanh_scale", penalty.tanh_scale);
}

at::Tensor PenaltyOfRows(const SparsityPenalty& penalty, const at::Tensor& activations) {
  if (penalty.form == Form::kTanh) return at::tanh(activations * penalty.tanh_scale).sum(1);
  if (penalty.exponent == 1) return activations.sum(1);
  const at::Tensor sums = PowerOfPositive(activations, penalty.exponent).sum(1);
  return penalty.form == Form::kNorm ? PowerOfPositive(sums, 1 / penalty.exponent) : sums;
}

SparsePenalty PenaltyOfEntries(const SparsityPenalty& penalty, const SparseActivations& active) {
  SparsePenalty result{at::zeros({active.rows()}, at::kDouble), at::empty_like(active.values)};
  const int64_t* offsets = active.row_offsets.data_ptr<int64_t>();
  double* rows = result.rows.data_ptr<double>();
  AT_DISPATCH_FLOATING_TYPES(active.values.scalar_type(), "PenaltyOfEntries", [&] {
    const scalar_t* values = active.values.data_ptr<scalar_t>();
    scalar_t* derivatives = result.derivatives.data_ptr<scalar_t>();
    at::parallel_for(0, active.rows(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t e = offsets[r]; e < offsets[r + 1]; ++e) {
          const double term = Term(penalty, values[e]);
          rows[r] += term;
          derivatives[e] = static_cast<scalar_t>(TermDerivative(penalty, values[e], term));
        }
        if (penalty.form != Form::kNorm || rows[r] == 0) continue;
        const double norm = std::pow(rows[r], 1 / penalty.exponent);
        const double outer = norm / (penalty.exponent * rows[r]);
        for (int64_t e = offsets[r]; e < offsets[r + 1]; ++e) derivatives[e] *= static_cast<scalar_t>(outer);
        rows[r] = norm;
      }
    });
  });
  return result;
}

}  // namespace lifescope
