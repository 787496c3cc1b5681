// How much a row of activations is penalised for being large or many.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/dictionary/dictionary.h"

namespace lifescope {

struct SparsityPenalty {
  enum class Form {
    kPower,  // sum of f^exponent: L1 with exponent 1, otherwise as in p-annealing (Karvonen et al. 2024)
    kNorm,   // (sum of f^exponent)^(1 / exponent) (SAELens)
    kTanh,   // sum of tanh(tanh_scale f) (Anthropic, January 2024)
  };
  Form form = Form::kPower;
  double exponent = 1;
  double tanh_scale = 4;
};

// Throws c10::ValueError naming the field that is not finite and above 0.
void CheckPenalty(const SparsityPenalty& penalty);

// The penalty of each row of activations [rows, features], none below 0. Differentiable; an activation of 0 has a
// gradient of 0 where the derivative would be infinite.
at::Tensor PenaltyOfRows(const SparsityPenalty& penalty, const at::Tensor& activations);

// The same from the active entries, with derivatives.
struct SparsePenalty {
  at::Tensor rows;         // float64 [rows]
  at::Tensor derivatives;  // of a row's penalty by each active value [active]
};
SparsePenalty PenaltyOfEntries(const SparsityPenalty& penalty, const SparseActivations& active);

}  // namespace lifescope
