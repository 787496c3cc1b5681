// Neuron resampling: features that stopped firing begin anew at rows that are reconstructed badly.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "server/dictionary/training/objective.h"
#include "server/optimizer/adam.h"

namespace lifescope {

struct Resampling {
  enum class Rule {
    // Bricken et al. 2023 (sparse_autoencoder of the AI Safety Foundation): rows in proportion to the square of their
    // loss, here their squared error; encoder rows from the normalised row.
    kSquaredLoss,
    // dictionary_learning: in proportion to the norm of their error; encoder rows from the row as it is.
    kErrorNorm,
  };
  Rule rule = Rule::kSquaredLoss;
  // After the update of every step that is a multiple of it. 0: only when Resample is called.
  int64_t every = 0;
  // Features are dead that have not fired for more than so long, in the unit in which the objective counts
  // (DeadRule::unit).
  int64_t dead_after = 12'500;
  // How often. 0: without end.
  int64_t times = 0;
  // Rows from which the new directions are drawn, whoever owns the trainer brings them (SaeTrainer::WantsResampling).
  // 0: those of the step's batch.
  int64_t rows = 0;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckResampling(const Resampling& resampling);

// Whether it is time after the update of `step`, from 0.
bool ResamplesAfter(const Resampling& resampling, int64_t step);

// How likely a row is drawn, from squared errors [rows] in the rule's measure; float64, not normalised.
at::Tensor ResamplingWeights(Resampling::Rule rule, const at::Tensor& squared_errors);

// `count` rows, or as many as have a weight above 0, drawn without replacement in proportion to their weights: INT64.
// The same for the same seed and step.
at::Tensor DrawRows(const at::Tensor& weights, int64_t count, uint64_t seed, int64_t step);

// Feature dead[i] (INT64) begins anew at row i of `rows`, for as many as there are rows: its decoder row is the row
// with norm 1; its encoder row the same (or the row as it is, by the rule) times 0.2 times the mean norm of the encoder
// rows of all features that are not in `dead` (of all, if there are none); its bias and its moments, where there are
// any, are 0.
void RestartFeatures(Resampling::Rule rule, const at::Tensor& dead, const at::Tensor& rows, Parameters& parameters,
                     std::map<std::string, AdamState>& adam);

}  // namespace lifescope
