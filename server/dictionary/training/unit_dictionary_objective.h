#pragma once

#include <cstdint>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"

namespace lifescope {

struct UnitDictionaryOptions {
  int64_t input_dim = 0;
  int64_t feature_count = 0;
  double l1_coefficient = 1e-3;
  // Of the Euclidean norm of the encoder's bias.
  double bias_decay = 0;
  // The encoder is the normalised dictionary as well; there is no parameter kDecoder.
  bool tied = false;
  DeadRule dead;
};

// The autoencoder of Cunningham et al. 2023 and of the interim report before it: the rows of the dictionary are
// divided by their norm within the loss, so that gradients go through the division, and there is no output bias:
// f = relu(encoder x + encoder_bias), x^ = f dictionary, loss = mean over all elements of (x - x^)^2 + l1_coefficient *
// mean over rows of sum f + bias_decay |encoder_bias|. Terms: "mse", "sparsity", "bias_norm".
class UnitDictionaryObjective final : public Objective {
 public:
  // Throws c10::ValueError naming the option that is out of range.
  explicit UnitDictionaryObjective(const UnitDictionaryOptions& options);

  DictionaryWidths widths() const override { return {options_.input_dim, options_.input_dim, options_.feature_count}; }
  Parameters Initialise(uint64_t seed) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  // The dictionary is exported normalised.
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  // [features, input_dim], rows of norm 1.
  at::Tensor DictionaryOf(const Parameters& parameters) const;

  UnitDictionaryOptions options_;
};

}  // namespace lifescope
