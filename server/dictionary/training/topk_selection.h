// Which features of a batch are active: the selections of the TopK family. Of kRow and kBatch only scores above 0 are
// selected, so that it does not matter whether relu stands before or after the selection.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/matmul.h"

namespace lifescope {

struct TopKSelection {
  enum class Over {
    kRow,    // the k largest of each row (TopK, Gao et al. 2024)
    kBatch,  // the k * rows largest of the batch, rounded down (BatchTopK, Bussmann et al. 2024)
    // The largest of each of k runs of feature_count / k features (GroupMax, sparsify). In a run without a score above
    // 0 it is the first: its activation is 0, but it counts as fired, and gradients reach its pre-activation.
    kGroups,
  };
  Over over = Over::kRow;
  // Active features per row, at most or on average; a whole number but for kBatch.
  double k = 32;
  // Whether scores are pre-activations times the norm of the decoder direction (SAELens), or pre-activations alone.
  bool by_decoder_norm = false;
  // k falls linearly from anneal_from at step 0 to k at step anneal_steps: rounded down (dictionary_learning, where
  // each value counts a step later), or to the nearest whole number, halves to the even one (sparsify). 0 steps: it
  // does not.
  double anneal_from = 0;
  int64_t anneal_steps = 0;
  bool anneals_to_nearest = false;
};

// Throws c10::ValueError naming the field that is out of range for so many features.
void CheckSelection(const TopKSelection& selection, int64_t feature_count);

double KAt(const TopKSelection& selection, int64_t step);

// BOOL [rows, features]: the selected entries. Equal scores go to the earlier row, then to the lower feature.
at::Tensor SelectDense(TopKSelection::Over over, double k, const at::Tensor& scores);

// The same without the matrix of all scores, <encoder[i], row> + bias[i]; values are scores, or 0 for those below. CPU
// only; rows and encoder are contiguous; `matmul` as in sparse_encoder.h.
SparseActivations SelectSparse(TopKSelection::Over over, double k, const at::Tensor& rows, const at::Tensor& encoder,
                               const at::Tensor& bias, Matmul matmul);

}  // namespace lifescope
