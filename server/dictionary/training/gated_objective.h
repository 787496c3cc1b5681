#pragma once

#include <cstdint>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"
#include "server/dictionary/training/p_annealing.h"
#include "server/dictionary/training/sparsity_penalty.h"

namespace lifescope {

// Beside those of objective.h, kEncoderBias excepted:
inline constexpr char kGateBias[] = "gate_bias";                // [features]
inline constexpr char kMagnitudeBias[] = "magnitude_bias";      // [features]
inline constexpr char kLogMagnitude[] = "log_magnitude_scale";  // [features], r

struct GatedOptions {
  int64_t input_dim = 0;
  int64_t feature_count = 0;
  double sparsity_coefficient = 0.1;
  // Of the exponent of the gates in the sparsity, which is 1 without.
  PAnnealing annealing;
  // Sparsity of the open gates times the norm of the decoder direction (SAELens), for decoders of free norm.
  bool weight_by_decoder_norm = false;
  // Whether the auxiliary reconstruction leaves decoder and decoder_bias alone (the paper, dictionary_learning).
  bool auxiliary_decoder_is_frozen = true;
  // Whether the encoder sees x - decoder_bias.
  bool apply_b_dec_to_input = true;
  // Norm of the decoder directions that a training starts from; encoder and decoder start equal.
  double initial_decoder_norm = 0.1;
  DeadRule dead;
};

// Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014): with z = encoder (x - decoder_bias),
//   gate = relu(z + gate_bias), f = 1[gate > 0] relu(exp(r) z + magnitude_bias),
// loss = mean over rows of |x - x^(f)|^2 + coefficient * sum gate + |x - x^(gate)|^2, the last through a frozen
// decoder. Terms: "mse", "sparsity", "auxiliary".
class GatedObjective final : public Objective {
 public:
  explicit GatedObjective(const GatedOptions& options);

  DictionaryWidths widths() const override { return {options_.input_dim, options_.input_dim, options_.feature_count}; }
  Parameters Initialise(uint64_t seed) const override;
  ObjectiveState InitialState() const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                      const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  AnnealedPenalty PenaltyAt(const ObjectiveState& state) const;

  GatedOptions options_;
};

}  // namespace lifescope
