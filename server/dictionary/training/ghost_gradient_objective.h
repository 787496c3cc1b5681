#pragma once

#include <cstdint>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"

namespace lifescope {

// Of a transcoder, beside the parameters of objective.h: what its encoder subtracts, [input_dim].
inline constexpr char kInputBias[] = "input_bias";

struct GhostGradientOptions {
  int64_t input_dim = 0;
  // Of a transcoder. 0: the dictionary reconstructs its input.
  int64_t output_dim = 0;
  int64_t feature_count = 0;
  double l1_coefficient = 1e-3;
  // The dead are those before the batch: counts_batch_first must be false.
  DeadRule dead{DeadRule::Unit::kSteps, 1000, false, false};
};

// The ReLU dictionary or transcoder with ghost gradients (Anthropic, January 2024; transcoder_circuits): the dead
// features, with exp in place of relu, are to reconstruct what is left, scaled to half of its norm. With e = y - y^ for
// the target y, elementwise:
//   mse    M = (y^ - y)^2 / |y|, averaged over all elements
//   ghost  G = (s g - e)^2 / |e| with g = exp(pre[dead]) decoder[dead], s = |e| / (1e-6 + 2 |g|); the mean of
//          G * M / (G + 1e-6). e, s and that factor count as constants.
//   loss = mse + l1_coefficient * mean over rows of sum f + ghost
// Terms: "mse", "sparsity", "ghost" (0 while none is dead). A row of zeros has no finite loss. A transcoder is exported
// with its input bias folded into that of the encoder.
class GhostGradientObjective final : public Objective {
 public:
  // Throws c10::ValueError naming the option that is out of range.
  explicit GhostGradientObjective(const GhostGradientOptions& options);

  DictionaryWidths widths() const override {
    return {options_.input_dim, is_transcoder() ? options_.output_dim : options_.input_dim, options_.feature_count};
  }
  Parameters Initialise(uint64_t seed) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  bool is_transcoder() const { return options_.output_dim > 0; }
  const at::Tensor& InputBias(const Parameters& parameters) const;

  GhostGradientOptions options_;
};

// What the features `dead` (INT64) reconstruct with exp in place of relu: exp(pre[dead]) decoder[dead], without bias.
at::Tensor GhostReconstruction(const at::Tensor& pre_activations, const at::Tensor& decoder, const at::Tensor& dead);

}  // namespace lifescope
