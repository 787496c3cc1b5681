#include "server/dictionary/input_scale.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {

DictionaryWeights FoldInputScale(DictionaryWeights weights, double factor, FeatureUnits units) {
  TORCH_CHECK_VALUE(std::isfinite(factor) && factor > 0, "input scale is ", factor, ", expected above 0");
  TORCH_CHECK_VALUE(weights.normalisation == Normalisation::kNone && weights.tensors.count("W_skip") == 0,
                    "an input scale can only be folded where rows are not normalised and do not skip");
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

}  // namespace lifescope
