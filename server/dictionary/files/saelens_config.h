// cfg.json of a SAELens folder, read strictly and brought to one form.
#pragma once

#include <cstdint>
#include <string>

#include "server/dictionary/dictionary.h"

namespace lifescope {

struct SaeLensConfig {
  // What it computes: "standard", "gated", "jumprelu", "topk", "groupmax", "sparse_coding", "gradient_pursuit" or a
  // codebook.
  std::string architecture;
  int64_t activation_dim = 0;
  int64_t feature_count = 0;
  int64_t output_dim = 0;
  // A skip transcoder, which holds W_skip.
  bool has_skip = false;
  // A checkpoint of training of batchtopk or matryoshka_batchtopk, which holds topk_threshold for all features.
  bool has_one_threshold = false;
  bool apply_b_dec_to_input = true;
  // "none", "constant_norm_rescale", "layer_norm", or "expected_average_only_in": a factor for all rows, which is in
  // a file of its own until it is folded into the weights.
  std::string normalisation;
  // Of topk, groupmax and gradient_pursuit.
  int64_t k = 0;
  // Of sparse_coding.
  double l1 = 0;
  int64_t iterations = 0;
  // Whether selection looks at pre-activations times the norm of the decoder direction.
  bool rescale_acts_by_decoder_norm = false;
  // Written before version 6: the weights may hold a scaling_factor of ones.
  bool is_flat = false;
  DictionaryInfo info;
};

// Throws c10::ValueError naming the file, the key, what was found and what was expected.
SaeLensConfig ReadSaeLensConfig(const std::string& path);

// The factor in activation_scaler.json: the model's activations times it are what the weights were trained on.
double ReadActivationScaler(const std::string& path);

}  // namespace lifescope
