#pragma once

#include <cstdint>

#include "server/dictionary/training/auxk.h"
#include "server/dictionary/training/error_scale.h"
#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/inference_threshold.h"
#include "server/dictionary/training/objective.h"
#include "server/dictionary/training/prefixes.h"
#include "server/dictionary/training/topk_selection.h"

namespace lifescope {

inline constexpr char kSkip[] = "skip";                     // parameter [output_dim, input_dim]
inline constexpr char kInferenceThreshold[] = "threshold";  // state, FLOAT64 scalar: see ThresholdMean

// topk_recipes.h has the settings of each reference.
struct TopKOptions {
  int64_t input_dim = 0;
  // Of a transcoder. 0: the dictionary reconstructs its input.
  int64_t output_dim = 0;
  int64_t feature_count = 0;
  TopKSelection selection;

  // Whether the encoder sees x - decoder_bias; never so in a transcoder.
  bool apply_b_dec_to_input = true;
  bool has_encoder_bias = true;
  // Whether the reconstruction also has skip x (skip transcoder).
  bool has_skip = false;

  // Of the reconstruction error.
  ErrorScale scale = ErrorScale::kRows;
  // Multiplies the reconstruction error: OpenAI's mse_scale, the reciprocal of the mean squared deviation of the data.
  double error_factor = 1;
  PrefixOptions prefixes;
  AuxKOptions auxk;
  // Weight of the error of a second reconstruction, from 4 k features of each row (Multi-TopK); 0: none. With one, all
  // that are selected for it count as fired (sparsify).
  double multi_topk_weight = 0;
  bool multi_topk_trains_encoder = true;

  DeadRule dead;
  // A feature fires where its score is above this.
  double fires_above = 0;
  ThresholdMean threshold;

  // Norm of the initial directions. The encoder starts as the decoder's transpose; a transcoder's encoder has this
  // norm, and its decoder and skip start at 0.
  double initial_norm = 1;
  // Whether the encoder starts divided by the mean norm of what the fresh dictionary makes of random rows of norm 1
  // (OpenAI): reconstructions start as long as rows are.
  bool rescales_encoder = false;
  // The decoder bias before the first step: of the targets of its batch. With one, a transcoder's encoder bias makes
  // the mean pre-activation of that batch 0.
  enum class BiasStart { kZero, kMean, kGeometricMedian };
  BiasStart bias_start = BiasStart::kZero;
};

// TopK (Gao et al. 2024), BatchTopK (Bussmann et al. 2024), GroupMax, Matryoshka (Bussmann et al. 2025) and their
// transcoders:
//   pre = encoder (x - decoder_bias) + encoder_bias,  f = relu(pre) where it is selected, else 0,
//   loss = sum over prefixes m of weight * error(f[:m]) + auxk + multi_topk_weight * error(f of 4 k features),
//   error(f) = |target - (f decoder + decoder_bias + skip x)|^2, scaled.
// Terms: "reconstruction", the weighted errors of the prefixes; "auxiliary"; with its weight, "multi_topk".
//
// kRow exports as "topk", kGroups as "groupmax"; kBatch as "jumprelu" with the threshold of the state (0 while that has
// no value). Features of a selection by decoder norm are scores: the norm is folded into the exported encoder.
class TopKObjective final : public Objective {
 public:
  // Throws c10::ValueError naming the option that is out of range.
  explicit TopKObjective(const TopKOptions& options);

  DictionaryWidths widths() const override {
    return {options_.input_dim, is_transcoder() ? options_.output_dim : options_.input_dim, options_.feature_count};
  }
  Parameters Initialise(uint64_t seed) const override;
  ObjectiveState InitialState() const override;
  void InitialiseFromRows(const TrainingRows& rows, Parameters& parameters) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                      const TrainingContext& context) const override;
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  bool is_transcoder() const { return options_.output_dim > 0; }
  bool centres_input() const { return options_.apply_b_dec_to_input && !is_transcoder(); }
  at::Tensor EncoderInput(const Parameters& parameters, const at::Tensor& input, Matmul matmul) const;
  at::Tensor EncoderBias(const Parameters& parameters) const;
  // Norms of decoder directions, as constants, when selection looks at them; else undefined.
  at::Tensor SelectionNorm(const Parameters& parameters) const;
  double MultiTopK(int64_t step) const;
  // Mean norm of the reconstructions of random rows of norm 1 by these directions, encoder and decoder.
  double ReconstructedNorm(const at::Tensor& directions, uint64_t seed) const;
  // Threshold and counters of the next state: from the selected scores, and from those that count as fired. Returns the
  // dead features.
  at::Tensor Advance(const SparseActivations& scores, const SparseActivations& fired, const ObjectiveState& state,
                     int64_t step, ObjectiveState& next) const;

  TopKOptions options_;
};

}  // namespace lifescope
