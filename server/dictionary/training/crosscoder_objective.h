#pragma once

#include <cstdint>
#include <vector>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"

namespace lifescope {

struct CrosscoderOptions {
  // Width of each site: a layer of one model, or the same place in each of several models.
  std::vector<int64_t> site_widths;
  int64_t feature_count = 0;
  double sparsity_coefficient = 2;
  // How the norms of a feature's decoder directions at the sites weigh its activation: their sum, which lets a feature
  // live at one site alone, or the norm of all together.
  enum class NormOverSites { kSum, kL2 };
  NormOverSites norm_over_sites = NormOverSites::kSum;
  // Of each decoder direction at each site, when a training starts; encoder and decoder start equal.
  double initial_decoder_norm = 0.08;
  DeadRule dead;
};

// One dictionary over several sites (Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer Features and Model
// Diffing"). A row is the concatenation of its sites, in order: f = relu(encoder x + encoder_bias), x^ = decoder^T f +
// decoder_bias, loss = mean over rows of |x - x^|^2 + coefficient * sum f * norm over sites of the decoder direction.
// Terms: "mse", "sparsity". Exported as "standard" over the whole row.
class CrosscoderObjective final : public Objective {
 public:
  explicit CrosscoderObjective(const CrosscoderOptions& options);

  DictionaryWidths widths() const override { return {row_width_, row_width_, options_.feature_count}; }
  Parameters Initialise(uint64_t seed) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                      const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  // The widths of which each has a norm of its own.
  std::vector<int64_t> NormWidths() const;

  CrosscoderOptions options_;
  int64_t row_width_ = 0;
};

}  // namespace lifescope
