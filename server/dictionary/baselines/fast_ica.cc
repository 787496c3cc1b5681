#include "server/dictionary/baselines/fast_ica.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include <tuple>

namespace lifescope {
namespace {

// (W W^T)^(-1/2) W: the nearest matrix with orthonormal rows.
at::Tensor Decorrelated(const at::Tensor& w) {
  const auto [values, vectors] = at::linalg_eigh(w.mm(w.t()));
  return (vectors / values.sqrt()).mm(vectors.t()).mm(w);
}

at::Tensor InitialRotation(const IcaOptions& options, int64_t components) {
  if (options.initial_rotation.defined()) {
    TORCH_CHECK_VALUE(options.initial_rotation.sizes() == at::IntArrayRef({components, components}),
                      "initial_rotation has shape ", options.initial_rotation.sizes(), ", expected [", components, ", ",
                      components, "]");
    return options.initial_rotation.to(at::kDouble);
  }
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(options.seed);
  return at::empty({components, components}, at::kDouble).normal_(0, 1, generator);
}

// Rows with variance 1 in every direction: z whitening^T, and back: whitened colouring^T.
struct Whitening {
  at::Tensor whitening;  // [components, width]
  at::Tensor colouring;  // [width, components]
};

Whitening WhiteningOf(const at::Tensor& standardised) {
  constexpr double kSmallestVariance = 1e-10;  // of the largest
  const auto rows = static_cast<double>(standardised.size(0));
  const auto [ascending, vectors] = at::linalg_eigh(standardised.t().mm(standardised) / rows);
  const at::Tensor variances = ascending.flip(0);
  const auto components = (variances > variances[0] * kSmallestVariance).sum().item<int64_t>();
  TORCH_CHECK_VALUE(variances[0].item<double>() > 0 && components > 0,
                    "rows are all equal, expected at least 2 that differ");
  const at::Tensor deviations = variances.narrow(0, 0, components).sqrt();
  const at::Tensor directions = vectors.flip(1).narrow(1, 0, components);
  // One sign for every library: where a rotation starts is said in these coordinates.
  const at::Tensor chosen = directions * at::where(directions[0] < 0, -1.0, 1.0).to(at::kDouble);
  return {(chosen / deviations).t(), chosen * deviations};
}

}  // namespace

IcaFit FitIca(const at::Tensor& rows, const IcaOptions& options, const FitProgress& progress) {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.numel() > 0, "rows have shape ", rows.sizes(), ", expected [rows, width]");
  TORCH_CHECK_VALUE(options.iterations > 0, "iterations: ", options.iterations, ", expected at least 1");
  IcaFit fit;
  const at::Tensor x = rows.to(at::kCPU, at::kDouble);
  fit.mean = x.mean(0);
  fit.scale = x.std(0, /*unbiased=*/false);
  fit.scale = fit.scale.masked_fill(fit.scale == 0, 1);
  const at::Tensor standardised = (x - fit.mean) / fit.scale;
  const Whitening white = WhiteningOf(standardised);
  const at::Tensor whitened = white.whitening.mm(standardised.t());  // [components, rows]
  const auto row_count = static_cast<double>(x.size(0));

  at::Tensor rotation = Decorrelated(InitialRotation(options, whitened.size(0)));
  do {
    const at::Tensor tanh = rotation.mm(whitened).tanh_();
    const at::Tensor slope = 1 - tanh.square().mean(1, true);
    const at::Tensor next = Decorrelated(tanh.mm(whitened.t()) / row_count - slope * rotation);
    fit.change = ((next * rotation).sum(1).abs() - 1).abs().max().item<double>();
    rotation = next;
    ++fit.iterations;
    if (progress) progress("independent components", fit.iterations, options.iterations);
  } while (fit.change >= options.tolerance && fit.iterations < options.iterations);
  fit.unmixing = rotation.mm(white.whitening);
  fit.mixing = white.colouring.mm(rotation.t());
  return fit;
}

}  // namespace lifescope
