#include "tests/intervention/attribution/planted_circuit.h"

#include <ATen/ATen.h>

namespace lifescope {
namespace {

// Channels of the residual stream.
constexpr int64_t kSource = 0, kReader = 1, kMoved = 2, kAnswer = 3, kAnything = 4;

}  // namespace

Transformer PlantedModel() {
  Hyperparameters h;
  h.hidden_size = 16;
  h.hidden_ff = 8;
  h.n_encoders = 2;
  h.n_heads = 4;
  h.n_local = 2;
  h.local_window_size = 8;
  h.num_random_features = 8;
  h.max_length = 16;
  h.vocab_size = 40;
  h.hidden_act = Activation::kRelu;
  h.parametrize_emb = h.norm_output_emb = h.weight_tying = false;
  Weights w = InitializeWeights(h, 1, 1.0);
  for (auto& [name, tensor] : TrainableTensors(w)) *tensor = at::zeros_like(*tensor, at::kDouble);
  for (BlockWeights& block : w.blocks) {
    block.projection = block.projection.to(at::kDouble);
    block.gate_attention.fill_(1);
    block.gate_mlp.fill_(1);
  }
  w.embedding.token.select(1, kAnything).fill_(0.1);
  w.embedding.token[kSourceToken][kSource] = 1;
  w.embedding.token[kReaderToken][kReader] = 1;
  // The reader's query meets the source's key with 6 * 6 / sqrt(4) = 18: all its attention.
  const int64_t head = kPlantedHead * 4;
  w.blocks[0].w_q[head][kReader] = 6;
  w.blocks[0].w_k[head][kSource] = 6;
  w.blocks[0].w_v[head][kSource] = 1;
  w.blocks[0].w_o[kMoved][head] = 1;
  // Other heads and neurons compute, and write nothing.
  w.blocks[0].w_v[0][kSource] = 1;
  w.blocks[1].w_in[2][kReader] = 1;
  w.blocks[1].w_in[kPlantedNeuron][kReader] = 10;
  w.blocks[1].w_in[kPlantedNeuron][kMoved] = 10;
  w.blocks[1].b_in[kPlantedNeuron] = -15;
  w.blocks[1].w_out[kAnswer][kPlantedNeuron] = 0.2;
  w.mlm.v = at::eye(16, at::kDouble);
  w.mlm.v[kMoved][kMoved] = 0;  // the answer's norm does not see what was moved
  w.mlm.g.fill_(4);
  w.mlm.decoder[kAnswerToken][kAnswer] = 1;
  w.mlm.decoder[kWrongToken][kAnswer] = -1;
  return Transformer(h, w);
}

Document PlantedDocument(int32_t source) {
  Document d;
  for (int32_t i = 0; i < 12; ++i) {
    d.token.push_back(i == kSourcePosition ? source : i == kReaderPosition ? kReaderToken : 10 + i % 3);
    d.abspos.push_back(i < 4 ? 0 : 100 * i);
    d.age.push_back(i < 4 ? 0 : 20 + i);
    d.segment.push_back(i < 4 ? 1 : 1 + i % 3);
    d.event.push_back(i < 4 ? 0 : i / 4);
  }
  return d;
}

}  // namespace lifescope
