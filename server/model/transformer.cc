#include "server/model/transformer.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/model/attention.h"
#include "server/model/embedding.h"
#include "server/model/forward_pass.h"
#include "server/model/heads.h"

namespace lifescope {
namespace {

void CheckEdges(const AttentionEdges& edges, const PackedBatch& batch, const Hyperparameters& hyperparameters) {
  TORCH_CHECK_VALUE(0 <= edges.document && edges.document < batch.document_count() && 0 <= edges.layer &&
                        edges.layer < hyperparameters.n_encoders && 0 <= edges.head &&
                        edges.head < hyperparameters.n_heads,
                    "attention edges of document ", edges.document, ", layer ", edges.layer, ", head ", edges.head,
                    ", expected one of ", batch.document_count(), " documents, ", hyperparameters.n_encoders,
                    " layers and ", hyperparameters.n_heads, " heads");
  const std::vector<int64_t> shape = {edges.queries.numel(), batch.length(edges.document)};
  TORCH_CHECK_VALUE(edges.factors.sizes() == at::IntArrayRef(shape), "attention edges have factors of shape ",
                    edges.factors.sizes(), ", expected ", at::IntArrayRef(shape));
}

}  // namespace

Transformer::Transformer(Hyperparameters hyperparameters, Weights weights)
    : hyperparameters_(hyperparameters), weights_(std::move(weights)) {
  TORCH_CHECK_VALUE(static_cast<int64_t>(weights_.blocks.size()) == hyperparameters_.n_encoders, "the weights have ",
                    weights_.blocks.size(), " layers, the hyperparameters say ", hyperparameters_.n_encoders);
  token_embedding_ = CenterTokens(weights_.embedding.token, weights_.embedding.center);
  if (!hyperparameters_.pretraining_heads) return;
  if (hyperparameters_.weight_tying) weights_.mlm.decoder = weights_.embedding.token;
  mlm_decoder_ = CenterTokens(weights_.mlm.decoder, weights_.mlm.center);
}

at::Tensor Transformer::Forward(const PackedBatch& batch, const ForwardOptions& options) const {
  const int64_t layers = options.layer_count < 0 ? hyperparameters_.n_encoders : options.layer_count;
  TORCH_CHECK_VALUE(layers <= hyperparameters_.n_encoders, "layer_count is ", layers, ", the model has ",
                    hyperparameters_.n_encoders, " layers");
  if (options.edges != nullptr) {
    for (const AttentionEdges& edges : *options.edges) CheckEdges(edges, batch, hyperparameters_);
  }
  const AttentionLayout layout = MakeAttentionLayout(batch, hyperparameters_, dtype());
  at::Tensor x = FirstResidual(batch, layers, options);
  for (int64_t layer = options.first_layer; layer < layers; ++layer) {
    if (options.before_layer) options.before_layer();
    x = Block(layer, x, layout, options);
  }
  return x;
}

at::Tensor Transformer::FirstResidual(const PackedBatch& batch, int64_t layers, const ForwardOptions& options) const {
  const int64_t first = options.first_layer;
  TORCH_CHECK_VALUE(0 <= first && first <= layers, "first_layer is ", first, ", expected 0 to layer_count = ", layers);
  if (first == 0) return Embed(weights_.embedding, token_embedding_, batch, ForwardPass{options});
  const std::vector<int64_t> shape = {batch.token_count(), hyperparameters_.hidden_size};
  TORCH_CHECK_VALUE(options.residual.defined() && options.residual.sizes() == at::IntArrayRef(shape),
                    "the residual stream to start from is ",
                    options.residual.defined() ? options.residual.sizes() : at::IntArrayRef(), ", expected ",
                    at::IntArrayRef(shape));
  return ForwardPass{options, first - 1}.Hooked(Site::kResidPost, options.residual);
}

at::Tensor Transformer::Block(int64_t layer, const at::Tensor& x, const AttentionLayout& layout,
                              const ForwardOptions& options) const {
  const BlockWeights& w = weights_.blocks[static_cast<size_t>(layer)];
  const ForwardPass pass{options, layer};

  const at::Tensor resid_pre = pass.Hooked(Site::kResidPre, x);
  const at::Tensor attn_in = pass.Hooked(Site::kAttnIn, resid_pre);
  const at::Tensor attn_out = pass.Hooked(Site::kAttnOut, Attention(w, hyperparameters_, attn_in, layout, pass));
  const at::Tensor attn_contrib = pass.Hooked(Site::kAttnContrib, w.gate_attention * attn_out);
  const at::Tensor resid_mid = pass.Hooked(Site::kResidMid, resid_pre + attn_contrib);

  const at::Tensor mlp_in = pass.Hooked(Site::kMlpIn, resid_mid);
  const at::Tensor mlp_pre = pass.Hooked(Site::kMlpPre, at::linear(mlp_in, w.w_in, w.b_in));
  const at::Tensor mlp_act = Activate(hyperparameters_.hidden_act, pass.Dropped(mlp_pre, &Dropout::feed_forward));
  const at::Tensor mlp_post = pass.Hooked(Site::kMlpPost, mlp_act);
  const at::Tensor mlp_out = pass.Hooked(Site::kMlpOut, at::linear(mlp_post, w.w_out, w.b_out));
  const at::Tensor mlp_contrib = pass.Hooked(Site::kMlpContrib, w.gate_mlp * mlp_out);
  return pass.Hooked(Site::kResidPost, resid_mid + mlp_contrib);
}

at::Tensor Transformer::MlmLogits(const at::Tensor& rows, const ForwardOptions& options) const {
  hyperparameters_.CheckPretrainingHeads("masked-token logits");
  return MlmHead(weights_.mlm, mlm_decoder_, rows, ForwardPass{options});
}

at::Tensor Transformer::SopLogits(const at::Tensor& cls, const ForwardOptions& options) const {
  hyperparameters_.CheckPretrainingHeads("sentence-order logits");
  return SopHead(weights_.sop, hyperparameters_.epsilon, cls, ForwardPass{options});
}

int64_t Transformer::ParameterCount() const {
  Weights view = weights_;
  int64_t count = 0;
  for (const auto& [name, tensor] : TrainableTensors(view)) count += tensor->numel();
  return count;
}

}  // namespace lifescope
