#include "server/dictionary/baselines/nmf.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace lifescope {
namespace {

struct Factors {
  at::Tensor codes;       // [rows, components]
  at::Tensor components;  // [width, components]: transposed, so that both factors are updated by one function
};

at::Tensor Unit(const at::Tensor& vector) { return vector / vector.norm().clamp_min(1e-300); }

// Of each singular pair u v^T the part, positive or negative, that is larger; the mean of the matrix where that is 0.
Factors Nndsvda(const at::Tensor& x, int64_t component_count) {
  constexpr double kZero = 1e-6;
  const auto [ascending, vectors] = at::linalg_eigh(x.t().mm(x));
  const at::Tensor singular = ascending.flip(0).clamp_min(0).sqrt();
  const at::Tensor right = vectors.flip(1);  // [width, width]
  Factors factors{at::empty({x.size(0), component_count}, at::kDouble),
                  at::empty({x.size(1), component_count}, at::kDouble)};
  for (int64_t i = 0; i < component_count; ++i) {
    const at::Tensor v = right.select(1, i);
    const at::Tensor u = Unit(x.mv(v));
    const at::Tensor parts[2][2] = {{u.clamp_min(0), v.clamp_min(0)}, {(-u).clamp_min(0), (-v).clamp_min(0)}};
    const auto size = [&](int sign) {
      return parts[sign][0].norm().item<double>() * parts[sign][1].norm().item<double>();
    };
    const int larger = size(0) > size(1) ? 0 : 1;
    const double scale = std::sqrt(singular[i].item<double>() * size(larger));
    factors.codes.select(1, i).copy_(Unit(parts[larger][0]) * scale);
    factors.components.select(1, i).copy_(Unit(parts[larger][1]) * scale);
  }
  const at::Tensor mean = x.mean();
  for (at::Tensor* factor : {&factors.codes, &factors.components}) *factor = at::where(*factor < kZero, mean, *factor);
  return factors;
}

// One sweep of coordinate descent of 1/2 c gram c^T - c target^T over each row c >= 0 of `factor`, in place.
void CoordinateSweep(const at::Tensor& gram, const at::Tensor& target, at::Tensor& factor) {
  const int64_t n = gram.size(0);
  at::Tensor gradient = (factor.mm(gram) - target).contiguous();
  const double* const g = gram.data_ptr<double>();
  double* const gradients = gradient.data_ptr<double>();
  double* const values = factor.data_ptr<double>();
  at::parallel_for(0, factor.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      double* const slope = gradients + row * n;
      double* const value = values + row * n;
      for (int64_t i = 0; i < n; ++i) {
        const double* const curvature = g + i * n;
        if (curvature[i] <= 0) continue;
        const double change = std::max(value[i] - slope[i] / curvature[i], 0.0) - value[i];
        if (change == 0) continue;
        value[i] += change;
        for (int64_t j = 0; j < n; ++j) slope[j] += change * curvature[j];
      }
    }
  });
}

// Improves `factor` with the other one fixed: x [rows, columns] ~ factor other^T.
void Update(NmfUpdate update, const at::Tensor& x, const at::Tensor& other, at::Tensor& factor) {
  constexpr double kSmallestDivisor = std::numeric_limits<float>::epsilon();
  const at::Tensor gram = other.t().mm(other).contiguous();
  const at::Tensor target = x.mm(other);
  if (update == NmfUpdate::kCoordinate) {
    CoordinateSweep(gram, target, factor);
  } else {
    factor.mul_(target.div_(factor.mm(gram).clamp_min_(kSmallestDivisor)));
  }
}

double ErrorOf(const at::Tensor& x, const Factors& factors) {
  return at::addmm(x, factors.codes, factors.components.t(), 1, -1).norm().item<double>();
}

}  // namespace

NmfFit FitNmf(const at::Tensor& rows, const NmfOptions& options, const FitProgress& progress) {
  constexpr int64_t kIterationsBetweenChecks = 10;
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.numel() > 0, "rows have shape ", rows.sizes(), ", expected [rows, width]");
  const int64_t most = std::min(rows.size(0), rows.size(1));
  TORCH_CHECK_VALUE(options.component_count > 0 && options.component_count <= most, "component_count is ",
                    options.component_count, ", expected 1 to ", most, " for ", rows.size(0), " rows of width ",
                    rows.size(1));
  TORCH_CHECK_VALUE(options.iterations > 0, "iterations: ", options.iterations, ", expected at least 1");
  NmfFit fit;
  at::Tensor x = rows.to(at::kCPU, at::kDouble);
  fit.shift = x.min().item<double>();
  x = x - fit.shift;
  Factors factors = Nndsvda(x, options.component_count);
  const double first_error = ErrorOf(x, factors);
  double last_error = first_error;
  while (fit.iterations < options.iterations) {
    Update(options.update, x, factors.components, factors.codes);
    Update(options.update, x.t(), factors.codes, factors.components);
    ++fit.iterations;
    if (progress) progress("non-negative factors", fit.iterations, options.iterations);
    if (options.tolerance <= 0 || fit.iterations % kIterationsBetweenChecks != 0) continue;
    const double error = ErrorOf(x, factors);
    if (last_error - error < options.tolerance * first_error) break;
    last_error = error;
  }
  fit.components = factors.components.t().contiguous();
  fit.reconstruction_error = ErrorOf(x, factors);
  return fit;
}

}  // namespace lifescope
