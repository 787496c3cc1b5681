#include "server/dictionary/files/fold.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {

DictionaryWeights WithInputBias(DictionaryWeights weights, bool apply_b_dec_to_input) {
  if (weights.apply_b_dec_to_input == apply_b_dec_to_input) return weights;
  const auto get = [&](const char* name) { return weights.tensors.at(name).to(at::kDouble); };
  const at::Tensor product = at::matmul(get("b_dec"), get("W_enc"));
  const at::Tensor shift = apply_b_dec_to_input ? product : -product;
  if (weights.architecture == "gated") {
    weights.tensors["b_mag"] = get("b_mag") + get("r_mag").exp() * shift;
    weights.tensors["b_gate"] = get("b_gate") + shift;
  } else {
    weights.tensors["b_enc"] = get("b_enc") + shift;
  }
  weights.apply_b_dec_to_input = apply_b_dec_to_input;
  return weights;
}

DictionaryWeights AsJumpRelu(DictionaryWeights weights) {
  TORCH_CHECK_VALUE(weights.architecture != "topk" && weights.architecture != "groupmax", "architecture '",
                    weights.architecture, "' cannot be written as jumprelu: its features depend on each other");
  if (weights.architecture == "standard") {
    weights.tensors["threshold"] = at::zeros_like(weights.tensors.at("b_enc"));
  } else if (weights.architecture == "gated") {
    const auto get = [&](const char* name) { return weights.tensors.at(name).to(at::kDouble); };
    const at::Tensor magnitude = get("r_mag").exp(), b_mag = get("b_mag");
    weights.tensors["threshold"] = b_mag - magnitude * get("b_gate");
    weights.tensors["W_enc"] = get("W_enc") * magnitude;
    weights.tensors["b_enc"] = b_mag;
    for (const char* name : {"b_gate", "b_mag", "r_mag"}) weights.tensors.erase(name);
  }
  weights.architecture = "jumprelu";
  return weights;
}

}  // namespace lifescope
