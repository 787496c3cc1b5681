// Saliency of a document's positions, as the life2vec authors publish it: input times gradient of the embedding.
#pragma once

#include "server/intervention/attribution/gradient.h"

namespace lifescope {

struct Saliency {
  double metric = 0;
  // Gradient times embedding (hook_embed), summed over channels, [positions]; divided by its norm over the document.
  at::Tensor input_x_gradient;
  // Norm of the gradient at the embedding, [positions].
  at::Tensor gradient_norm;
  // The sum of input times gradient before it is divided: the metric itself where the model is linear from the origin.
  double input_x_gradient_sum = 0;
};

Saliency ComputeSaliency(const Document& document, const Metric& metric, const Transformer& model,
                         const GradientOptions& options = {});

}  // namespace lifescope
