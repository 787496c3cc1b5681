// What the run engine promises, proved on a loaded model: by running it, against sums and products written out here and
// against life2vec as it was published, padded and masked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/intervention/engine.h"
#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

struct Invariant {
  std::string name;
  // The worst over documents, layers and heads: largest difference, relative to the largest expected value except where
  // the allowance is 0.
  double deviation = 0;
  double allowance = 0;  // for rounding in the model's dtype; 0: to the bit

  bool holds() const { return deviation <= allowance; }  // no when it is NaN
};

// Checks, on every document:
// - attention weights . v = z for local heads, and for global heads with their share of padding;
// - resid_pre + attn_contrib = resid_mid, resid_mid + mlp_contrib = resid_post;
// - the final residual stream of documents packed together = that of the padded reference;
// - edits that change nothing leave the final residual stream as it is, to the bit;
// - a head zeroed at hook_z takes its write z_h W_O^h from attn_contrib;
// - one feature of each sparse autoencoder set to v: x + (v - f) times its decoder row, as decode(f') - decode(f);
// - documents[0] patched with itself has the effect 1, documents[1] with itself 0, where (patched - documents[1]) /
//   (documents[0] - documents[1]) is the effect on the final residual stream at [CLS].
// Those that the model or the dictionaries have nothing for are left out. Costs about n_encoders x (n_heads + 3) passes
// of each document. `n_slots` as Run::n_slots; `options` of every run that it makes. Throws as Execute, and
// c10::ValueError for fewer than two documents or two that the model cannot tell apart.
std::vector<Invariant> SelfCheck(const std::vector<Document>& documents, const std::vector<RunDictionary>& dictionaries,
                                 int64_t n_slots, const Transformer& model, const ExecuteOptions& options = {});

}  // namespace lifescope
