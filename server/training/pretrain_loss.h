// The pre-training task as tensors: a packed batch with its targets, and the loss of a model on it.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "server/corpus/document.h"
#include "server/model/transformer.h"
#include "server/training/masking.h"

namespace lifescope {

// Mean cross-entropy of [targets, vocabulary] logits, in nats.
at::Tensor MlmLoss(const at::Tensor& logits, const at::Tensor& targets);

// How the two tasks' losses are weighed.
struct PretrainObjective {
  double mlm_weight = 0.8;
  double sop_weight = 0.2;
  // By SentenceOrder, as life2vec-light has them; the original repository's first is 1 / 0.9.
  std::array<double, 3> sop_class_weights = {1 / 0.8, 1 / 0.1, 1 / 0.1};
  double label_smoothing = 0.1;  // of the sentence order
};

// Cross-entropy of [documents, 3] logits with class weights and smoothed labels; the mean divides by the sum of the
// targets' weights, as PyTorch's does.
at::Tensor SopLoss(const at::Tensor& logits, const at::Tensor& orders, const PretrainObjective& objective);

// One document of a batch after masking.
struct PretrainExample {
  Document document;
  MaskedTargets targets;
  SentenceOrder order = SentenceOrder::kOriginal;
};

struct PretrainBatch {
  PackedBatch documents;
  at::Tensor target_rows;    // INT64 [targets]: rows of the packed batch
  at::Tensor target_tokens;  // INT64 [targets]
  at::Tensor cls_rows;       // INT64 [documents]
  at::Tensor orders;         // INT64 [documents]
};

// Packs examples; every document counts `n_slots` slots.
PretrainBatch PackExamples(const std::vector<PretrainExample>& examples, int64_t n_slots, at::Device device);

struct PretrainLosses {
  at::Tensor mlm, sop;  // scalars
};

// Null `dropout`: evaluation.
PretrainLosses ComputeLosses(const Transformer& model, const PretrainBatch& batch, const PretrainObjective& objective,
                             const Dropout* dropout);

}  // namespace lifescope
