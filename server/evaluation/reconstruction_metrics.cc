#include "server/evaluation/reconstruction_metrics.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kTerms = static_cast<int64_t>(ReconstructionTerm::kCount);

// 0 where the divisor is 0.
at::Tensor SafeRatio(const at::Tensor& dividend, const at::Tensor& divisor) {
  return at::where(divisor.eq(0), at::zeros_like(dividend), dividend / divisor);
}

double Ratio(double dividend, double divisor) { return divisor == 0 ? kNan : dividend / divisor; }

}  // namespace

at::Tensor ReconstructionTerms(const at::Tensor& x, const at::Tensor& reconstruction, const at::Tensor& features) {
  TORCH_CHECK_VALUE(x.dim() == 2 && x.sizes() == reconstruction.sizes(), "reconstruction: ", reconstruction.sizes(),
                    ", expected as the activation, ", x.sizes());
  TORCH_CHECK_VALUE(features.dim() == 2 && features.size(0) == x.size(0), "features: ", features.sizes(), ", expected ",
                    x.size(0), " rows");
  const at::Tensor a = x.to(at::kCPU, at::kDouble), r = reconstruction.to(at::kCPU, at::kDouble);
  const at::Tensor squared_error = (a - r).square().sum(1), squared_norm = a.square().sum(1);
  const at::Tensor squared_reconstruction = r.square().sum(1), dot = (a * r).sum(1);
  const at::Tensor norm = squared_norm.sqrt(), reconstruction_norm = squared_reconstruction.sqrt();
  const at::Tensor active = features.ne(0).sum(1).to(at::kCPU, at::kDouble);
  const at::Tensor activation = features.abs().sum(1, /*keepdim=*/false, at::kDouble).to(at::kCPU);
  // In the order of ReconstructionTerm.
  const at::Tensor terms =
      at::stack({at::ones_like(norm), squared_error, squared_norm, squared_reconstruction, dot,
                 SafeRatio(dot, norm * reconstruction_norm), norm, reconstruction_norm,
                 SafeRatio(reconstruction_norm, norm), SafeRatio(squared_error, squared_norm), active, activation},
                1);
  return at::cat({terms, a}, 1);
}

at::Tensor MeanActivation(const at::Tensor& sums) {
  return sums.narrow(0, kTerms, sums.size(0) - kTerms) / sums[static_cast<int64_t>(ReconstructionTerm::kRows)];
}

std::vector<Measurement> ReconstructionMetrics(const at::Tensor& sums, const at::Tensor& centre) {
  using Term = ReconstructionTerm;
  const double* sum = sums.data_ptr<double>();
  const auto total = [sum](Term term) { return sum[static_cast<int64_t>(term)]; };
  const double rows = total(Term::kRows);
  const int64_t width = sums.size(0) - kTerms;
  // Sum of |x - m|^2 = sum |x|^2 - 2 <m, sum x> + rows |m|^2.
  const at::Tensor x_sum = sums.narrow(0, kTerms, width), m = centre.defined() ? centre : MeanActivation(sums);
  const double spread = total(Term::kSquaredNorm) - 2 * m.dot(x_sum).item<double>() + rows * m.dot(m).item<double>();
  const double fvu = Ratio(total(Term::kSquaredError), spread);
  const auto mean = [&](Term term) { return Ratio(total(term), rows); };
  std::vector<Measurement> metrics;
  const auto add = [&](const char* name, double value, const char* why_undefined = "no rows") {
    metrics.push_back({name, value, kNan, kNan, std::isnan(value) ? why_undefined : ""});
  };
  add("l0", mean(Term::kActive));
  add("l1", mean(Term::kActivation));
  add("mse_sum", mean(Term::kSquaredError));
  add("mse_mean", mean(Term::kSquaredError) / static_cast<double>(width));
  add("fvu", fvu, "the activations do not vary");
  add("explained_variance", 1 - fvu, "the activations do not vary");
  add("normalized_mse_uncentred", Ratio(total(Term::kSquaredError), total(Term::kSquaredNorm)),
      "every activation is 0");
  add("normalized_mse_uncentred_row_mean", mean(Term::kErrorRatio));
  add("cosine", mean(Term::kCosine));
  add("l2_norm_in", mean(Term::kNorm));
  add("l2_norm_out", mean(Term::kReconstructionNorm));
  add("l2_ratio", mean(Term::kNormRatio));
  add("relative_reconstruction_bias", Ratio(total(Term::kSquaredReconstruction), total(Term::kDot)),
      "reconstructions have no part along the activations");
  return metrics;
}

}  // namespace lifescope
