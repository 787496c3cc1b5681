#pragma once

#include <cstdint>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"
#include "server/dictionary/training/p_annealing.h"
#include "server/dictionary/training/sparsity_penalty.h"

namespace lifescope {

// What a row's squared error, and its penalty, are divided by.
enum class LossScale {
  kSum,       // nothing: the error is summed over dimensions
  kMean,      // the error by the width: mean over all elements
  kRelative,  // the error by |x|^2 and the penalty by |x| (OpenAI); a row of zeros has no finite loss
};

struct ReluOptions {
  int64_t input_dim = 0;
  int64_t feature_count = 0;
  double sparsity_coefficient = 0.1;
  SparsityPenalty penalty;
  // Where its `updates` is not 0, it gives the exponent and the coefficient of the penalty, from those above on.
  PAnnealing annealing;
  // Penalises f times the norm of the decoder direction (April 2024) instead of f.
  bool weight_by_decoder_norm = false;
  LossScale scale = LossScale::kSum;
  // Whether the encoder sees x - decoder_bias.
  bool apply_b_dec_to_input = true;
  // The encoder is the decoder as well; there is no parameter kDecoder.
  bool tied = false;
  // Biases of the encoder start uniform in -this to this: features whose bias starts low may stay silent.
  double initial_bias = 0;
  // Whether the decoder bias starts at the geometric median of the first batch's targets (Bricken et al. 2023), or at
  // 0.
  bool starts_at_median = false;
  DeadRule dead;
};

// f = relu(encoder (x - decoder_bias) + encoder_bias), loss = mean over rows of |x - x^|^2 + coefficient * penalty(f)
// (Bricken et al. 2023; weighted by decoder norms: Anthropic, April 2024). Terms: "mse", "sparsity", as scaled.
class ReluObjective final : public Objective {
 public:
  // Throws c10::ValueError naming the option that is out of range.
  explicit ReluObjective(const ReluOptions& options);

  DictionaryWidths widths() const override { return {options_.input_dim, options_.input_dim, options_.feature_count}; }
  Parameters Initialise(uint64_t seed) const override;
  ObjectiveState InitialState() const override;
  void InitialiseFromRows(const TrainingRows& rows, Parameters& parameters) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                      const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  const at::Tensor& DecoderOf(const Parameters& parameters) const;
  AnnealedPenalty PenaltyAt(const ObjectiveState& state) const;

  ReluOptions options_;
};

}  // namespace lifescope
