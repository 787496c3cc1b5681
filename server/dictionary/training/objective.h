// What a training of a dictionary minimises: one small class per variant. An objective is a pure function of
// parameters, rows and state, so that the training loop (SaeTrainer) is the same for all and goes on to the bit from a
// checkpoint.
//
// Every variant states its loss twice. Loss() is plain ATen, differentiable, on any device: the definition. Evaluate()
// may be overridden by a sparse path on the CPU, which works out the same gradients from the active entries alone;
// tests hold it against Loss().
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "server/dictionary/matmul.h"
#include "server/dictionary/weights.h"

namespace lifescope {

using Parameters = std::map<std::string, at::Tensor>;

// Names of parameters. Rows belong to features, also of the encoder: rows are what sparse gradients touch.
inline constexpr char kEncoder[] = "encoder";           // [features, input_dim]
inline constexpr char kEncoderBias[] = "encoder_bias";  // [features]
inline constexpr char kDecoder[] = "decoder";           // [features, output_dim]
inline constexpr char kDecoderBias[] = "decoder_bias";  // [output_dim]

// What an objective keeps from step to step beside parameters: counters, thresholds, annealed coefficients.
using ObjectiveState = std::map<std::string, at::Tensor>;
inline constexpr char kSinceFired[] = "since_fired";  // INT64 [features]: rows or steps since it fired last
inline constexpr char kFireCount[] = "fire_count";    // INT64 [features]: rows in which it fired, since the start

// One batch: what the dictionary reads and what it is to reconstruct. The same tensor but for transcoders.
struct TrainingRows {
  at::Tensor input;   // [rows, input_dim]
  at::Tensor target;  // [rows, output_dim]
};

// Where the training is.
struct TrainingContext {
  int64_t step = 0;           // from 0
  double sparsity_scale = 1;  // warm-up of the sparsity coefficient
  // Of the encoder's product; kEncoder among the parameters is an operand already.
  Matmul matmul = Matmul::kFull;
};

// Figures of one batch that every variant has.
struct BatchFigures {
  double squared_error = 0;   // summed over rows and dimensions
  double active_entries = 0;  // feature activations that are not 0
  int64_t dead_feature_count = 0;
};

// As Evaluation, before differentiation.
struct DifferentiableLoss {
  at::Tensor total;  // scalar
  std::map<std::string, double> terms;
  BatchFigures figures;
  ObjectiveState next_state;
};

struct Evaluation {
  double loss = 0;                      // what is minimised
  std::map<std::string, double> terms;  // its parts, by name, before their coefficients
  // By the loss. A parameter that is missing here does not take part in the step (its moments rest as well).
  Parameters gradients;
  BatchFigures figures;
  ObjectiveState next_state;
};

// Const and thread-safe.
class Objective {
 public:
  virtual ~Objective() = default;

  virtual DictionaryWidths widths() const = 0;
  int64_t input_dim() const { return widths().input; }
  int64_t output_dim() const { return widths().output; }
  int64_t feature_count() const { return widths().features; }

  // Fresh parameters in float64, from `seed` alone.
  virtual Parameters Initialise(uint64_t seed) const = 0;
  virtual ObjectiveState InitialState() const;
  // Before the first step: what its rows decide of the parameters (a bias at their median, say).
  virtual void InitialiseFromRows(const TrainingRows& rows, Parameters& parameters) const;

  // The definition. `parameters` may be leaves that want gradients.
  virtual DifferentiableLoss Loss(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                                  const TrainingContext& context) const = 0;

  // Gradients of Loss(). This one differentiates it; so does an override for tensors that are not on the CPU.
  virtual Evaluation Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                              const TrainingContext& context) const;

  // What was learnt, for rows as they were trained on (normalised): MakeDictionary of it encodes and decodes as Loss()
  // does (with the threshold of inference where a batch decides in training).
  virtual DictionaryWeights Export(const Parameters& parameters, const ObjectiveState& state) const = 0;
};

// Loss() and its gradients by automatic differentiation, whatever Evaluate does.
Evaluation Differentiate(const Objective& objective, const Parameters& parameters, const ObjectiveState& state,
                         const TrainingRows& rows, const TrainingContext& context);

}  // namespace lifescope
