#include "server/intervention/attribution/saliency.h"

#include <ATen/ATen.h>

namespace lifescope {

Saliency ComputeSaliency(const Document& document, const Metric& metric, const Transformer& model,
                         const GradientOptions& options) {
  const ActivationGradients at = GradientsAt(document, metric, model, {HookPoint{Site::kEmbed}}, options);
  const at::Tensor product = (at.activations[0] * at.gradients[0]).sum(1).to(at::kCPU, at::kDouble);
  const at::Tensor norm = product.norm();
  Saliency saliency;
  saliency.metric = at.metric;
  saliency.input_x_gradient_sum = product.sum().item<double>();
  saliency.input_x_gradient = norm.item<double>() > 0 ? product / norm : product;
  saliency.gradient_norm = at.gradients[0].norm(2, 1).to(at::kCPU, at::kDouble);
  return saliency;
}

}  // namespace lifescope
