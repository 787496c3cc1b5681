#pragma once

#include <cstdint>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"

namespace lifescope {

struct ReluOptions {
  int64_t input_dim = 0;
  int64_t feature_count = 0;
  double sparsity_coefficient = 0.1;
  // L1 of f times the norm of the decoder direction (April 2024) instead of f.
  bool weight_by_decoder_norm = false;
  // Whether the encoder sees x - decoder_bias.
  bool apply_b_dec_to_input = true;
  DeadRule dead;
};

// f = relu(encoder (x - decoder_bias) + encoder_bias), loss = mean over rows of |x - x^|^2 + coefficient * sum f
// (Bricken et al. 2023; weighted by decoder norms: Anthropic, April 2024). Terms: "mse", "sparsity".
class ReluObjective final : public Objective {
 public:
  explicit ReluObjective(const ReluOptions& options);

  int64_t input_dim() const override { return options_.input_dim; }
  int64_t output_dim() const override { return options_.input_dim; }
  int64_t feature_count() const override { return options_.feature_count; }
  Parameters Initialise(uint64_t seed) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                      const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  ReluOptions options_;
};

}  // namespace lifescope
