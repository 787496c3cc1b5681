// The auxiliary loss that keeps features alive (AuxK, Gao et al. 2024, arXiv:2406.04093): the largest scores among dead
// features reconstruct what the active ones left over.
//   e = target - reconstruction,  r = decode(k largest scores of dead features),  loss = factor * |e - r|^2
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/training/error_scale.h"
#include "server/dictionary/training/objective.h"
#include "server/dictionary/training/sparse_reconstruction.h"

namespace lifescope {

struct AuxKOptions {
  double coefficient = 1.0 / 32;  // 0: no auxiliary loss
  // Dead features that take part in a row. 0: half of output_dim, at least 1.
  int64_t k = 0;
  // Whether scores below 0 count as 0 (SAELens: no).
  bool relu = true;
  // Of the summed squared error. kDeviation is that of e; with `deviation_of_target`, that of the target (sparsify).
  // Where it is 0 there is no auxiliary loss.
  ErrorScale scale = ErrorScale::kDeviation;
  bool deviation_of_target = false;
  // Whether the loss is multiplied by min(dead features / k, 1).
  bool scale_by_dead_share = false;
  // The decoder bias in r.
  enum class Bias {
    kNone,       // dictionary_learning, BatchTopK's authors
    kAdded,      // r has it, e does not (SAELens, sparsify)
    kBothSides,  // r has it, and e a copy of it without gradient (OpenAI)
  };
  Bias bias = Bias::kNone;
  // Whether e is a constant to the gradient (BatchTopK's authors: no).
  bool detach_error = true;
  // Whether the loss trains the encoder too (sparsify: no).
  bool trains_encoder = true;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckAuxK(const AuxKOptions& options);

// What the loss is about: the same tensors on both paths.
struct AuxKInput {
  at::Tensor dead;    // INT64 [dead features], ascending
  at::Tensor error;   // e [rows, output_dim]
  at::Tensor target;  // [rows, output_dim]
  at::Tensor norm;    // of decoder directions [features], when scores are pre-activations times it; else undefined
};

// The loss before its coefficient, a scalar; 0 when there is none. `pre_activations` [rows, features].
at::Tensor AuxKLoss(const AuxKOptions& options, const AuxKInput& input, const at::Tensor& pre_activations,
                    const at::Tensor& decoder, const at::Tensor& decoder_bias);

// The same for encoder_input rows x, whose pre-activations are <encoder[i], x> + bias[i], and `coefficient` times its
// gradients.
struct AuxKEvaluation {
  double loss = 0;
  at::Tensor output_gradient;  // by r [rows, output_dim]; by e it is the negative of this. Undefined: there is no loss
};
AuxKEvaluation EvaluateAuxK(const AuxKOptions& options, const AuxKInput& input, const at::Tensor& encoder_input,
                            const at::Tensor& encoder, const at::Tensor& bias, const at::Tensor& decoder,
                            const at::Tensor& decoder_bias, GradientSums& sums);

}  // namespace lifescope
