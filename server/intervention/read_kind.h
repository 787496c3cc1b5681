// What a run reads from every pass, and the values that are not plain tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/model/hook_point.h"

namespace lifescope {

// Unless said otherwise a read gives a tensor of the run's dtype with one row per read position, ascending.

struct ActivationRead {
  HookPoint hook_point;
};
struct FeatureRead {
  int64_t dictionary = 0;  // index into Run::dictionaries
};
struct MlmLogitsRead {
  std::vector<int32_t> tokens;  // empty: all
};
struct LogitDifferenceRead {
  int32_t token_a = 0;
  int32_t token_b = 0;
};
struct LogProbabilityRead {
  int32_t token = 0;
};
struct KlToCleanRead {};
struct SopLogitsRead {};
struct ClassProbabilityRead {
  int64_t head = 0;  // index into Run::heads
};

// Logit lens (nostalgebraist 2020): the masked-token head on an earlier residual stream, as if no layer followed. The
// trunk has no last normalisation, so that nothing else stands between them. [positions, tokens].
struct LogitLensRead {
  HookPoint hook_point;         // hook_embed, hook_resid_pre, hook_resid_mid or hook_resid_post
  std::vector<int32_t> tokens;  // empty: all
};

// Cross-entropy of the masked-token head in nats, -log p(token) at each target: [targets], in the order given. The
// same targets in every document that the read covers; Read::positions is empty.
struct TokenTarget {
  int64_t position = 0;
  int32_t token = 0;
};
struct CrossEntropyRead {
  std::vector<TokenTarget> targets;
};

// How the masked-token head is made linear. With s = V x + b, h = tanh(s) and a logit u.h / |h|:
enum class Linearisation {
  kPoint,   // the gradient at x
  kSecant,  // tanh(s) / s for tanh and 1 / |h| for the norm, both frozen: the gap is 0
};

// Direct logit attribution (Elhage et al. 2021): what every component of the final residual stream adds to a logit, or
// to a difference of two. A DirectLogitValue.
struct DirectLogitRead {
  enum class Components {
    kLayers,  // the four embeddings, and hook_attn_contrib and hook_mlp_contrib of every layer
    kHeads,   // the same with each hook_attn_contrib as its heads and the output projection's bias
  };

  int32_t token_a = 0;
  std::optional<int32_t> token_b;
  Linearisation linearisation = Linearisation::kPoint;
  Components components = Components::kLayers;
};

// At every position: contributions.sum + bias + gap = logit, but for rounding. Computed in float64.
struct DirectLogitValue {
  // Columns of `contributions`: "hook_embed_token", "blocks.0.hook_attn_contrib", "blocks.0.attn.heads.3",
  // "blocks.0.attn.bias"...; the last, "edits", is what edits added to the residual stream itself: rounding in a
  // clean run.
  std::vector<std::string> components;
  at::Tensor contributions;  // [positions, components]
  at::Tensor logit;          // [positions]: of token_a, or minus that of token_b
  at::Tensor bias;           // [positions]: the linearised head's share of its bias b
  at::Tensor gap;            // [positions]: what the linearisation leaves out
};

// Weights with which a head mixes the values of the document's positions: [positions read, positions + 1]. The last
// column is the share of padded slots, whose values are 0: every row sums to 1. Of a local head they are its softmax
// pattern, and padding has none. A global head has no pattern: phi(q_i).phi(k_j) over its denominator, as it would be.
// Cut and weakened edges show.
struct AttentionRead {
  int64_t layer = 0;
  int64_t head = 0;
};

// Cosine to the same row of the clean run, and length relative to it: [positions, 2], or [1, 2] at a person summary.
// NaN or infinite where a length is 0.
struct ShiftRead {
  HookPoint hook_point;
};

// Features whose activation differs from the clean run's by more than `threshold`: a FeatureChangeValue.
struct FeatureChangeRead {
  int64_t dictionary = 0;
  double threshold = 0;
};

// How far an activation is from what the dictionary knows: |x - x'|^2 / |x - m|^2 with x' its reconstruction and m the
// mean over the positions of the document's clean run. [positions]. NaN or infinite where x = m.
struct ReconstructionErrorRead {
  int64_t dictionary = 0;
};

using ReadKind = std::variant<ActivationRead, FeatureRead, MlmLogitsRead, LogitDifferenceRead, LogProbabilityRead,
                              KlToCleanRead, SopLogitsRead, ClassProbabilityRead, LogitLensRead, CrossEntropyRead,
                              DirectLogitRead, AttentionRead, ShiftRead, FeatureChangeRead, ReconstructionErrorRead>;

// Features of the read positions of one document.
struct FeatureValue {
  std::vector<int64_t> positions;
  SparseActivations activations;
};

// Changed features of the read positions of one document, compressed: those of row r are
// features[row_offsets[r] .. row_offsets[r + 1]), ascending. On the CPU.
struct FeatureChangeValue {
  std::vector<int64_t> positions;
  at::Tensor row_offsets;    // INT64 [positions + 1]
  at::Tensor features;       // INT32 [changed]
  at::Tensor clean, edited;  // as the dictionary [changed]
};

struct ReadValue {
  int64_t read = 0;                                                                    // index into Run::reads
  std::variant<at::Tensor, FeatureValue, FeatureChangeValue, DirectLogitValue> value;  // tensors are on the CPU
};

}  // namespace lifescope
