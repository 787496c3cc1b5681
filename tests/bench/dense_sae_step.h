// One training step of a dictionary as dictionary_learning writes it: dense activations, automatic differentiation,
// dense Adam, the decoder stored [width, features]. What the sparse steps are measured against.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "server/optimizer/adam.h"

namespace lifescope {

class DenseSaeStep {
 public:
  // The loss of rows by parameters, in the order of `parameters`; the decoder is the third.
  using Loss = std::function<at::Tensor(const std::vector<at::Tensor>& parameters, const at::Tensor& rows)>;
  struct Options {
    std::vector<at::Tensor> parameters;
    Loss loss;
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double gradient_clip = 0;  // 0: none
  };

  explicit DenseSaeStep(const Options& options);
  // Loss, gradients, decoder projection, clipping, Adam, decoder norms. Returns the loss.
  double Step(const at::Tensor& rows);

 private:
  Options options_;
  std::vector<AdamState> adam_;
};

// `family`: "topk", "batch_topk", "relu", "gated", "jumprelu", by the trainer of that name. `encoder` [features, width]
// with directions of norm 1, `bias` [features], and k of the first two.
DenseSaeStep MakeDenseSaeStep(const std::string& family, const at::Tensor& encoder, const at::Tensor& bias, int64_t k,
                              double learning_rate);

}  // namespace lifescope
