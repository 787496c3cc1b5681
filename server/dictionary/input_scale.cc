#include "server/dictionary/input_scale.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {

DictionaryWeights FoldInputScale(DictionaryWeights weights, double factor, FeatureUnits units) {
  TORCH_CHECK_VALUE(std::isfinite(factor) && factor > 0, "input scale is ", factor, ", expected above 0");
  if (factor == 1) return weights;
  TORCH_CHECK_VALUE(weights.normalisation == Normalisation::kNone && weights.tensors.count("W_enc") > 0 &&
                        weights.tensors.count("W_skip") == 0,
                    "an input scale can only be folded where a matrix encodes rows that are not normalised and do not "
                    "skip; the architecture is '",
                    weights.architecture, "'");
  CheckWeights(weights);
  for (auto& [name, tensor] : weights.tensors) {
    double multiplier = 1;
    if (units == FeatureUnits::kOfTraining) {
      if (name == "W_enc") multiplier = factor;
      if (name == "W_dec" || name == "b_dec") multiplier = 1 / factor;
    } else if (name != "W_enc" && name != "W_dec" && name != "r_mag") {
      multiplier = 1 / factor;
    }
    tensor = tensor.to(at::kDouble) * multiplier;
  }
  return weights;
}

DictionaryWeights FoldColumnScales(DictionaryWeights weights, const at::Tensor& input, const at::Tensor& output) {
  auto& tensors = weights.tensors;
  tensors["W_enc"] = tensors.at("W_enc").to(at::kDouble) * input.unsqueeze(1);
  tensors["W_dec"] = tensors.at("W_dec").to(at::kDouble) / output;
  tensors["b_dec"] = tensors.at("b_dec").to(at::kDouble) / output;
  const auto skip = tensors.find("W_skip");
  if (skip != tensors.end()) skip->second = skip->second.to(at::kDouble) * input / output.unsqueeze(1);
  return weights;
}

}  // namespace lifescope
