#pragma once

#include <cstdint>

#include "server/dictionary/codebook.h"
#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/objective.h"

namespace lifescope {

// The parameters of a codebook: its codes are kDecoder.
inline constexpr char kNormWeight[] = "norm_weight";  // [width]
inline constexpr char kNormBias[] = "norm_bias";      // [width]

struct CodebookOptions {
  int64_t width = 0;
  int64_t code_count = 0;
  int64_t k = 1;
  CodeSimilarity similarity = CodeSimilarity::kInnerProduct;
  // Through what codes learn: what comes out of them ("base"), the distance to the rows that chose them ("vqvae"), or
  // both ("aeloss").
  enum class CodesLearnFrom { kOutput, kDistance, kBoth };
  CodesLearnFrom codes_learn_from = CodesLearnFrom::kOutput;
  // Of the distance of the rows to their codes ("vqvae", and "aeloss" as "fullaeloss"); summed over rows, not averaged,
  // as the reference has it.
  double commitment_coefficient = 0;
  DeadRule dead;
};

// With h = layer norm of x, out = mean of the k codes that h is most like (Tamkin et al. 2023, arXiv:2310.17230),
// passed straight through to h; loss = mean over rows of |target - out|^2, + mean over rows of |out - h|^2 by the
// codes, + commitment_coefficient * sum over rows of |out - h|^2 by h. Terms: "mse", and where they count "codes",
// "commitment". Exported as "codebook" or "codebook_euclidean".
class CodebookObjective final : public Objective {
 public:
  explicit CodebookObjective(const CodebookOptions& options);

  DictionaryWidths widths() const override { return {options_.width, options_.width, options_.code_count}; }
  // Codes are standard normal, of the size of what the layer norm gives.
  Parameters Initialise(uint64_t seed) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  CodebookOptions options_;
};

}  // namespace lifescope
