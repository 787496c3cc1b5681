#include "server/dictionary/decoder_norm.h"

#include <ATen/ATen.h>

namespace lifescope {

DictionaryWeights FoldDecoderNorm(DictionaryWeights weights) {
  CheckWeights(weights);
  const at::Tensor norm = weights.tensors.at("W_dec").to(at::kDouble).norm(2, 1);
  for (auto& [name, tensor] : weights.tensors) {
    tensor = tensor.to(at::kDouble);
    if (name == "W_dec") {
      tensor = tensor / norm.masked_fill(norm == 0, 1).unsqueeze(1);
    } else if (name != "b_dec" && name != "r_mag" && name != "W_skip") {
      tensor = tensor * norm;
    }
  }
  return weights;
}

}  // namespace lifescope
