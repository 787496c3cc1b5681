#include "server/dictionary/training/exported_matrices.h"

#include <ATen/ATen.h>

namespace lifescope {

DictionaryWeights ExportedMatrices(const std::string& architecture, const Parameters& parameters,
                                   bool apply_b_dec_to_input) {
  DictionaryWeights weights;
  weights.architecture = architecture;
  weights.tensors = {{"W_enc", parameters.at(kEncoder).t().contiguous()},
                     {"W_dec", parameters.at(kDecoder).clone()},
                     {"b_dec", parameters.at(kDecoderBias).clone()}};
  weights.apply_b_dec_to_input = apply_b_dec_to_input;
  return weights;
}

}  // namespace lifescope
