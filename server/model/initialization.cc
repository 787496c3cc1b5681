// The published initialisation: token and segment rows and Time2Vec uniform in [-0.01, 0.01], linear layers as
// nn.Linear draws them, norm gains sqrt(hidden), ReZero gates zero.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>

#include "server/model/weights.h"

namespace lifescope {
namespace {

constexpr double kEmbeddingBound = 0.01;

class Initializer {
 public:
  explicit Initializer(uint64_t seed) : generator_(at::detail::createCPUGenerator(seed)) {}

  at::Tensor Uniform(at::IntArrayRef shape, double bound) {
    return at::empty(shape, at::kFloat).uniform_(-bound, bound, generator_);
  }
  // Weight or bias of nn.Linear: kaiming_uniform(a = sqrt 5) is U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
  at::Tensor Linear(at::IntArrayRef shape, int64_t fan_in) {
    return Uniform(shape, 1 / std::sqrt(static_cast<double>(fan_in)));
  }
  at::Tensor Constant(double value) { return at::full({1}, value, at::kFloat); }
  at::Tensor Normal(at::IntArrayRef shape) { return at::empty(shape, at::kDouble).normal_(0, 1, generator_); }
  Time2VecWeights Time2Vec(int64_t hidden) {
    return {Uniform({1, hidden - 1}, kEmbeddingBound), Uniform({1, hidden - 1}, kEmbeddingBound),
            Uniform({1, 1}, kEmbeddingBound), Uniform({1, 1}, kEmbeddingBound)};
  }

 private:
  at::Generator generator_;
};

// [PAD] and the placeholders [PLCH0..4] stay out of the mean of the token matrix.
Center PublishedCenter(bool enabled, bool norm) {
  Center center;
  center.enabled = enabled;
  center.norm = enabled && norm;
  center.ignore_index = at::tensor({0, 4, 5, 6, 7, 8}, at::kLong);
  return center;
}

EmbeddingWeights InitializeEmbedding(const Hyperparameters& h, const Initialization& how, Initializer& draw) {
  const double bound = how.embedding_scale * kEmbeddingBound;
  EmbeddingWeights w;
  w.token = draw.Uniform({h.vocab_size, h.hidden_size}, bound);
  w.center = PublishedCenter(h.parametrize_emb, h.norm_input_emb);
  w.segment = draw.Uniform({4, h.hidden_size}, bound);
  w.age = draw.Time2Vec(h.hidden_size);
  w.abspos = draw.Time2Vec(h.hidden_size);
  w.abspos.w.mul_(how.abspos_scale);
  w.gate_age = draw.Constant(how.age_gate);
  w.gate_abspos = draw.Constant(how.abspos_gate);
  w.gate_segment = draw.Constant(how.gate);
  return w;
}

BlockWeights InitializeBlock(const Hyperparameters& h, double gate, uint64_t projection_seed, Initializer& draw) {
  const int64_t hidden = h.hidden_size, ff = h.hidden_ff;
  BlockWeights w;
  w.w_q = draw.Linear({hidden, hidden}, hidden);
  w.w_k = draw.Linear({hidden, hidden}, hidden);
  w.w_v = draw.Linear({hidden, hidden}, hidden);
  w.w_o = draw.Linear({hidden, hidden}, hidden);
  w.b_o = draw.Linear({hidden}, hidden);
  w.projection = DrawProjection(h.num_random_features, h.head_dim(), projection_seed);
  w.gate_attention = draw.Constant(gate);
  w.w_in = draw.Linear({ff, hidden}, hidden);
  w.b_in = draw.Linear({ff}, hidden);
  w.w_out = draw.Linear({hidden, ff}, ff);
  w.b_out = draw.Linear({hidden}, ff);
  w.gate_mlp = draw.Constant(gate);
  return w;
}

}  // namespace

Initialization Initialization::Open(double gate) {
  Initialization open;
  open.gate = gate;
  open.age_gate = 0.1 * gate;
  open.abspos_gate = 0.03 * gate;
  open.embedding_scale = gate > 0 ? 20 : 1;
  return open;
}

Weights InitializeWeights(const Hyperparameters& h, uint64_t seed, const Initialization& how) {
  const int64_t hidden = h.hidden_size;
  const double gain = std::sqrt(static_cast<double>(hidden));
  Initializer draw(seed);
  Weights w;
  w.embedding = InitializeEmbedding(h, how, draw);
  for (int64_t layer = 0; layer < h.n_encoders; ++layer) {
    w.blocks.push_back(InitializeBlock(h, how.gate, seed + 1 + static_cast<uint64_t>(layer), draw));
  }
  w.mlm.v = draw.Linear({hidden, hidden}, hidden);
  w.mlm.b_v = draw.Linear({hidden}, hidden);
  w.mlm.g = draw.Constant(gain);
  w.mlm.decoder = h.weight_tying ? w.embedding.token : draw.Linear({h.vocab_size, hidden}, hidden);
  w.mlm.center = PublishedCenter(h.parametrize_emb, h.norm_output_emb);
  w.sop.w_in = draw.Linear({hidden, hidden}, hidden);
  w.sop.b_in = draw.Linear({hidden}, hidden);
  w.sop.g = draw.Constant(gain);
  w.sop.w_out = draw.Linear({3, hidden}, hidden);
  w.sop.b_out = draw.Linear({3}, hidden);
  return w;
}

void RedrawProjections(const Hyperparameters& hyperparameters, const std::function<uint64_t()>& next_seed,
                       Weights& weights) {
  for (BlockWeights& block : weights.blocks) {
    block.projection = DrawProjection(hyperparameters.num_random_features, hyperparameters.head_dim(), next_seed())
                           .to(block.projection.options());
  }
}

at::Tensor DrawProjection(int64_t features, int64_t head_dim, uint64_t seed) {
  Initializer draw(seed);
  std::vector<at::Tensor> blocks;
  for (int64_t row = 0; row < features; row += head_dim) {
    const at::Tensor q = std::get<0>(at::linalg_qr(draw.Normal({head_dim, head_dim})));
    blocks.push_back(q.t().slice(0, 0, std::min(head_dim, features - row)));
  }
  const at::Tensor norms = draw.Normal({features, head_dim}).square().sum(1, true).sqrt();
  return (at::cat(blocks) * norms).to(at::kFloat);
}

}  // namespace lifescope
