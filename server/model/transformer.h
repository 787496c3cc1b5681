// life2vec: a BERT-like encoder with FAVOR+ global heads, bucketed local heads and ReZero gates
// (Savcisens et al. 2024; FAVOR+: Choromanski et al. 2021; ReZero: Bachlechner et al. 2021).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/model/attention_edges.h"
#include "server/model/hook_point.h"
#include "server/model/hyperparameters.h"
#include "server/model/packed_batch.h"
#include "server/model/weights.h"

namespace lifescope {

struct AttentionLayout;

// Probabilities of the published dropouts, for training. Draws from LibTorch's default generator.
struct Dropout {
  double embedding = 0, feed_forward = 0, attention = 0, decoder = 0;
};

// Arguments of one forward pass.
struct ForwardOptions {
  const Hooks* hooks = nullptr;
  // Layers that are run, counted from the model's first; -1: all. The result is the residual stream after the last.
  int64_t layer_count = -1;
  // Layers that are left out at the beginning, at most layer_count. If any, the pass starts at hook_resid_post of the
  // last of them with `residual` [tokens, hidden], to which the hooks of that point are applied.
  int64_t first_layer = 0;
  at::Tensor residual = {};
  // Attention edges to change, for each document, layer and head at most one entry; null: none.
  const std::vector<AttentionEdges>* edges = nullptr;
  // Called before every layer; it may throw to stop the pass (cancellation).
  std::function<void()> before_layer;
  // Null: evaluation.
  const Dropout* dropout = nullptr;
};

// A loaded model. Const and thread-safe: nothing changes after construction; hooks belong to the call.
// Gradients flow through every method to activations and weights (the FAVOR+ stabilisers are detached, as in
// the reference).
class Transformer {
 public:
  // Centres the token matrices once; with weights that require gradients that is part of the graph.
  Transformer(Hyperparameters hyperparameters, Weights weights);

  // The residual stream after the last layer that was run, [tokens, hidden]. Token ids, segments: in range, or
  // c10::IndexError naming value and position.
  at::Tensor Forward(const PackedBatch& batch, const ForwardOptions& options = {}) const;

  // Both heads throw c10::ValueError where hyperparameters().pretraining_heads is false.
  // Masked-token logits of rows of the final residual stream: [rows, hidden] -> [rows, vocabulary].
  at::Tensor MlmLogits(const at::Tensor& rows, const ForwardOptions& options = {}) const;

  // Sentence-order logits of the [CLS] rows: [documents, hidden] -> [documents, 3].
  at::Tensor SopLogits(const at::Tensor& cls, const ForwardOptions& options = {}) const;

  const Hyperparameters& hyperparameters() const { return hyperparameters_; }
  const Weights& weights() const { return weights_; }
  // What the masked-token head multiplies with, as it is used: [vocabulary, hidden], centred. Undefined without heads.
  const at::Tensor& mlm_decoder() const { return mlm_decoder_; }
  at::ScalarType dtype() const { return weights_.embedding.segment.scalar_type(); }
  at::Device device() const { return weights_.embedding.segment.device(); }
  int64_t ParameterCount() const;

 private:
  // Where the first of the layers that are run starts.
  at::Tensor FirstResidual(const PackedBatch& batch, int64_t layers, const ForwardOptions& options) const;
  at::Tensor Block(int64_t layer, const at::Tensor& x, const AttentionLayout& layout,
                   const ForwardOptions& options) const;

  Hyperparameters hyperparameters_;
  Weights weights_;
  at::Tensor token_embedding_;  // [vocabulary, hidden], centred
  at::Tensor mlm_decoder_;      // [vocabulary, hidden], centred; undefined without heads
};

// A model folder {model.safetensors, hparams.json, vocab.tsv} read and checked. `vocab.tsv` is not read here.
// `digest` is the SHA-256 of the sorted list of file digests (weights with their projection matrices,
// hyperparameters, vocabulary). Throws c10::ValueError naming the file and the fault.
struct LoadedModel {
  std::shared_ptr<const Transformer> transformer;
  std::string digest;
};
LoadedModel LoadModel(const std::string& folder, at::ScalarType dtype, at::Device device);

// The digest alone, without reading tensors.
std::string ModelDigest(const std::string& folder);

}  // namespace lifescope
