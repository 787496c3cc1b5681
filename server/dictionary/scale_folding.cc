#include "server/dictionary/scale_folding.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {

void FoldInputScale(double scale, DictionaryWeights& weights) {
  TORCH_CHECK_VALUE(std::isfinite(scale) && scale > 0, "scale is ", scale, ", expected a finite number above 0");
  for (const char* name : {"b_enc", "b_dec", "b_gate", "b_mag", "threshold"}) {
    const auto found = weights.tensors.find(name);
    if (found != weights.tensors.end()) found->second = found->second / scale;
  }
}

void FoldColumnScales(const at::Tensor& input, const at::Tensor& output, DictionaryWeights& weights) {
  auto& tensors = weights.tensors;
  tensors["W_enc"] = tensors.at("W_enc") * input.unsqueeze(1);
  tensors["W_dec"] = tensors.at("W_dec") / output;
  tensors["b_dec"] = tensors.at("b_dec") / output;
  const auto skip = tensors.find("W_skip");
  if (skip != tensors.end()) skip->second = skip->second * input / output.unsqueeze(1);
}

}  // namespace lifescope
