// The decoders that life2vec was fine-tuned with: the final residual stream of documents to logits. One struct of
// tensors per published decoder, under its published names; documents are packed, so pooling runs over each one's own
// rows and knows no padding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/model/hook_point.h"

namespace lifescope {

// What the shapes of a decoder's tensors follow from.
struct DecoderShape {
  int64_t hidden_size = 0;
  int64_t hidden_ff = 0;      // of FlatDecoder
  int64_t context_count = 0;  // of OrdinalDecoder
  int64_t output_count = 0;   // targets x classes
};

// `CLS_Decoder_FT2`: out(ScaleNorm(swish(ff x_cls))).
struct ClsDecoder {
  at::Tensor w_in, b_in;    // [hidden, hidden], [hidden]
  at::Tensor g;             // [1], of ScaleNorm
  at::Tensor w_out, b_out;  // [outputs, hidden], [outputs]
};

// `AttentionDecoder` (mortality, emigration): y = ScaleNorm(swish(ff x)) of every position is pooled with weights
// SigSoftmax(tanh(pool y) . context).
struct AttentionDecoder {
  at::Tensor w_in, b_in;      // [hidden, hidden], [hidden]
  at::Tensor g;               // [1]
  at::Tensor w_pool, b_pool;  // [hidden / 2, hidden], [hidden / 2]
  at::Tensor context;         // [hidden / 2]
  at::Tensor w_out, b_out;    // [outputs, hidden], [outputs]
};

// `AttentionDecoderL` (personality): the same with several contexts, whose pooled vectors `post` brings back to one.
struct OrdinalDecoder {
  at::Tensor w_in, b_in;      // [hidden, hidden], [hidden]
  at::Tensor g;               // [1]
  at::Tensor w_pool, b_pool;  // [hidden / 2, hidden], [hidden / 2]
  at::Tensor context;         // [contexts, hidden / 2]
  at::Tensor w_post, b_post;  // [hidden, contexts * hidden], [hidden]
  at::Tensor w_out, b_out;    // [outputs, hidden], [outputs]
};

// `Flat_Decoder` (personality without pooling): out(swish(ff2 LayerNorm(swish(ff swish(x_cls))))).
struct FlatDecoder {
  at::Tensor w_in, b_in;      // [ff, hidden], [ff]
  at::Tensor w_norm, b_norm;  // [ff], of LayerNorm
  at::Tensor w_mid, b_mid;    // [hidden, ff], [hidden]
  at::Tensor w_out;           // [outputs, hidden]
};

using Decoder = std::variant<ClsDecoder, AttentionDecoder, OrdinalDecoder, FlatDecoder>;

// "cls", "attention", "ordinal", "flat".
std::string KindOf(const Decoder& decoder);
// A decoder of that kind without tensors. Throws c10::ValueError naming the kinds.
Decoder DecoderOfKind(const std::string& kind);

// Every tensor of a decoder with its state-dict name ("decoder.ff.weight"). The pointers point into `decoder`.
std::vector<std::pair<std::string, at::Tensor*>> TrainableTensors(Decoder& decoder);

// Arguments of one pass through a decoder.
struct DecoderOptions {
  const Hooks* hooks = nullptr;
  // As hook points name the head: "heads.<name>.hook_person_summary".
  std::string head;
  // Probability of the published dropouts (AlphaDropout in the pooling decoders), for training.
  double dropout = 0;
};

// Rows offsets[d] .. offsets[d + 1) of `final` [tokens, hidden] are document d: -> [documents, outputs]. The vector
// that the output layer reads passes kPersonSummary.
at::Tensor Decode(const Decoder& decoder, const at::Tensor& final, const std::vector<int64_t>& offsets, double epsilon,
                  const DecoderOptions& options);

// softmax(s + log(sigmoid(s) + 1e-12)) along `dim` (Kanai et al. 2018).
at::Tensor SigSoftmax(const at::Tensor& scores, int64_t dim);

// Fresh FLOAT tensors on the CPU, drawn from `seed` as the published code draws them: layers as nn.Linear, contexts
// normal, ScaleNorm's gain sqrt(hidden).
Decoder InitializeDecoder(const std::string& kind, const DecoderShape& shape, uint64_t seed);

}  // namespace lifescope
