// The dictionaries that a sparse autoencoder has to beat, fitted to the same activations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/dictionary/baselines/row_source.h"
#include "server/dictionary/weights.h"

namespace lifescope {

// "+-": each direction is there twice, with both signs, as features are never negative (Cunningham et al. 2023).
enum class BaselineKind {
  kNeurons,        // the axes
  kSignedNeurons,  // the axes, +-
  kRandom,         // random directions of norm 1
  kPca,            // principal directions, +-
  kIca,            // independent components, +-
  kNmf,            // non-negative components; their codes come from non-negative least squares
  kSparseCoding,   // directions learnt for non-negative sparse coding by FISTA
};

// "neurons", "signed-neurons", "random", "pca", "ica", "nmf", "sparse-coding".
const std::vector<std::string>& BaselineKindNames();
// Throws c10::ValueError naming them.
BaselineKind ParseBaselineKind(const std::string& name);

struct BaselineOptions {
  BaselineKind kind = BaselineKind::kPca;
  // Active features of a row. Linear encoders keep the k largest; kSparseCoding has k on average, by the weight of its
  // L1 term, and needs k; kNmf finds k by gradient pursuit. 0: as many as there are.
  int64_t k = 16;
  // Another encoder over the kind's directions: gradient pursuit of k features (see sparse_codes.h). Needs k.
  bool uses_gradient_pursuit = false;
  // Whether kNeurons, kSignedNeurons, kRandom and kPca subtract the mean of the rows first (b_dec), as kIca and
  // kSparseCoding always do. The reference (Cunningham et al.) does not.
  bool is_centred = true;
  // Of kRandom and kSparseCoding, 0: twice the width. Of kNmf at most the width, 0: the width.
  int64_t feature_count = 0;
  // kIca and kNmf hold this many rows, the first; they do not look at further ones.
  int64_t sample_rows = 65'536;
  uint64_t seed = 1;
  // Of kSparseCoding: rows of a step. Its directions move by step_size of the way to their best place for these rows.
  int64_t batch_rows = 512;
  double step_size = 0.05;
  // Of the search for the codes of kNmf and kSparseCoding, in the dictionary.
  int64_t iterations = 100;
};

struct FittedBaseline {
  DictionaryWeights weights;  // "standard" (k 0), "topk", "sparse_coding" or "gradient_pursuit"; W_dec of norm 1
  int64_t row_count = 0;      // that it was fitted to
  std::string remark;         // what a reader should know of the fit: "converged in 61 iterations"; may be empty
};

// Reads `source` to its end, but for kIca and kNmf. Memory: a batch and width^2 numbers; kIca and kNmf hold their
// sample several times in float64; kSparseCoding holds 16 batches. Throws c10::ValueError for options out of range, a
// source without rows, or rows that cannot be fitted.
FittedBaseline FitBaseline(const BaselineOptions& options, const RowSource& source, const FitProgress& progress = {});

}  // namespace lifescope
