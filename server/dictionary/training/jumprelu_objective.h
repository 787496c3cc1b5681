#pragma once

#include <cstdint>

#include "server/dictionary/training/firing.h"
#include "server/dictionary/training/l0_penalty.h"
#include "server/dictionary/training/objective.h"

namespace lifescope {

// [features], beside those of objective.h. What it holds of the threshold is the objective's to say.
inline constexpr char kThreshold[] = "threshold";

struct JumpReluOptions {
  int64_t input_dim = 0;
  int64_t feature_count = 0;

  // What the parameter kThreshold is.
  enum class Threshold {
    kPlain,                 // the threshold (dictionary_learning); may become negative
    kLog,                   // its logarithm (the paper, SAELens)
    kLogWithoutChainFactor  // its logarithm, with the gradient by the threshold taken for its own (BatchTopK's authors)
  };
  Threshold threshold = Threshold::kLog;
  double initial_threshold = 0.001;
  double bandwidth = 0.001;
  // Whether pre-activations go through a ReLU before the jump (the paper's pseudo-code): it matters where the threshold
  // is below bandwidth / 2.
  bool rectify_first = false;
  // Whether the kernel's estimate passes to the pre-activations too (Anthropic, January 2025).
  bool kernel_on_input = false;

  enum class Sparsity {
    kL0,    // l0_penalty of 1[pre-activation > threshold]
    kTanh,  // sum of tanh(tanh_scale * f * norm of the decoder direction)
  };
  Sparsity sparsity = Sparsity::kL0;
  double sparsity_coefficient = 1;
  L0Penalty l0_penalty;
  // Whether the step function of the L0 sees f instead of the pre-activations: its kernel then misses what lies just
  // below the threshold (dictionary_learning, BatchTopK's authors).
  bool step_sees_activations = false;
  double tanh_scale = 4;

  // Of sum relu(threshold - pre-activation) * norm of the decoder direction, which brings features back that do not
  // fire: over dead features (SAELens) or all (Anthropic). Not warmed up. 0: none.
  double pre_activation_coefficient = 0;
  bool pre_activation_of_all = false;

  // Squared error per dimension, a mean instead of a sum (BatchTopK's authors).
  bool error_per_dimension = false;
  // Whether the encoder sees x - decoder_bias.
  bool apply_b_dec_to_input = true;
  // Norm of the decoder directions that a training starts from; encoder and decoder start equal.
  double initial_decoder_norm = 1;
  DeadRule dead;
};

// f = z 1[z > threshold] with z = encoder (x - decoder_bias) + encoder_bias, loss = mean over rows of |x - x^|^2 +
// coefficient * sparsity (Rajamanoharan et al. 2024, arXiv:2407.14435), with straight-through gradients
// (straight_through.h). Terms: "mse", "sparsity", "l0" and, with a coefficient, "pre_activation".
//
// The sparse path works on the entries above threshold - bandwidth / 2: it pays while those are few.
class JumpReluObjective final : public Objective {
 public:
  explicit JumpReluObjective(const JumpReluOptions& options);

  DictionaryWidths widths() const override { return {options_.input_dim, options_.input_dim, options_.feature_count}; }
  Parameters Initialise(uint64_t seed) const override;
  DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                          const TrainingContext& context) const override;
  Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                      const TrainingContext& context) const override;
  // Features that a negative threshold lets be negative are 0 in the exported dictionary.
  DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const override;

 private:
  // The threshold that the parameter stands for; differentiable as the options say.
  at::Tensor ThresholdOf(const at::Tensor& parameter) const;

  JumpReluOptions options_;
};

}  // namespace lifescope
