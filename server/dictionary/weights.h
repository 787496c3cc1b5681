// What a dictionary is made of, before it is put on a device: what files hold and what trainings and fits give.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/sae.h"

namespace lifescope {

// Tensors have the names of SAELens, with d_in the width that is read, d_out the width that is written and n features:
//   W_dec [n, d_out]  b_dec [d_out]                       always
//   W_enc [d_in, n]                                       all but sparse_coding and gradient_pursuit, which search
//   b_enc [n]                                             standard, jumprelu, topk, groupmax
//   threshold [n]                                         jumprelu
//   b_gate [n]  b_mag [n]  r_mag [n]                      gated
//   W_skip [d_out, d_in]                                  optional: a skip transcoder adds x W_skip^T to what it
//   decodes
// A codebook has tensors and checks of its own (codebook.h).
struct DictionaryWeights {
  // "standard", "gated", "jumprelu", "topk", "groupmax", "codebook", "codebook_euclidean", "sparse_coding",
  // "gradient_pursuit".
  std::string architecture;
  std::map<std::string, at::Tensor> tensors;
  int64_t k = 0;  // of topk, codebooks and gradient_pursuit; groups of groupmax
  // Whether the encoder sees x - b_dec; then d_out is d_in.
  bool apply_b_dec_to_input = true;
  // Other than kNone only without W_skip and with d_out equal to d_in.
  Normalisation normalisation = Normalisation::kNone;
  // Of sparse_coding (see sparse_coding.h).
  double l1 = 0;
  int64_t iterations = 0;
};

// Whether it encodes by searching over W_dec, without W_enc; d_out is d_in then.
bool HasSearchingEncoder(const std::string& architecture);

struct DictionaryWidths {
  int64_t input = 0, output = 0, features = 0;
};
// Of weights that CheckWeights accepts.
DictionaryWidths WidthsOf(const DictionaryWeights& weights);

// Throws c10::ValueError naming the tensor or field, what was found and what was expected: an architecture that is not
// one of these, a missing or unknown tensor, a wrong shape, a dtype that is not floating, a value that is not
// finite, a k that is not in 1 to n or, of groupmax, does not divide n. `where` begins the message.
void CheckWeights(const DictionaryWeights& weights, const std::string& where = "weights");

// The dictionary of these weights in `dtype`, kFloat or kDouble. Throws as CheckWeights, and for a value that is
// infinite in that dtype.
std::shared_ptr<const Dictionary> MakeDictionary(const DictionaryWeights& weights, at::ScalarType dtype,
                                                 at::Device device);

}  // namespace lifescope
