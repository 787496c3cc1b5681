// The weights of a life2vec model as plain structs of tensors, and their names on disk.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/model/hyperparameters.h"
#include "server/model/state_dict.h"

namespace lifescope {

// Time2Vec of one quantity: [1, hidden - 1] and [1, 1].
struct Time2VecWeights {
  at::Tensor w, b, w0, b0;
};

// How a token matrix is centred before use (the `Center` parametrisation). These buffers of the checkpoint,
// not the hyperparameters, decide.
struct Center {
  bool enabled = false;
  bool norm = false;        // rows to unit length after centring
  at::Tensor ignore_index;  // INT64: rows left out of the mean and set to zero; empty when not used
};

struct EmbeddingWeights {
  at::Tensor token;  // [vocabulary, hidden], as stored: before centring
  Center center;
  at::Tensor segment;  // [4, hidden]
  Time2VecWeights age, abspos;
  at::Tensor gate_age, gate_abspos, gate_segment;  // [1], ReZero
};

struct BlockWeights {
  at::Tensor w_q, w_k, w_v;   // [hidden, hidden]
  at::Tensor w_o, b_o;        // [hidden, hidden], [hidden]
  at::Tensor projection;      // [random features, head_dim]: FAVOR+; never redrawn at inference
  at::Tensor gate_attention;  // [1]
  at::Tensor w_in, b_in;      // [ff, hidden], [ff]
  at::Tensor w_out, b_out;    // [hidden, ff], [hidden]
  at::Tensor gate_mlp;        // [1]
};

struct MlmHeadWeights {
  at::Tensor v, b_v;   // [hidden, hidden], [hidden]
  at::Tensor g;        // [1]
  at::Tensor decoder;  // [vocabulary, hidden]; the same tensor as EmbeddingWeights::token when tied
  Center center;
};

struct SopHeadWeights {
  at::Tensor w_in, b_in;    // [hidden, hidden], [hidden]
  at::Tensor g;             // [1], of ScaleNorm
  at::Tensor w_out, b_out;  // [3, hidden], [3]
};

// The tensors of the two heads are undefined in a model without them.
struct Weights {
  EmbeddingWeights embedding;
  std::vector<BlockWeights> blocks;
  MlmHeadWeights mlm;
  SopHeadWeights sop;
};

// Reads a state dict by the names of either public repository. Strict: a missing or unknown tensor, a wrong shape or
// dtype, a non-finite value, tied tensors that differ: each throws c10::ValueError naming file, tensor, found and
// expected. `dtype` is kFloat or kDouble.
Weights ReadWeights(const StateDict& state, const Hyperparameters& hyperparameters, at::ScalarType dtype,
                    at::Device device);
Weights ReadWeights(const SafetensorsFile& file, const Hyperparameters& hyperparameters, at::ScalarType dtype,
                    at::Device device);

// The state dict under the original names (`sop_decoder`), as ReadWeights reads it; tied tensors are both present.
std::map<std::string, at::Tensor> ToStateDict(const Weights& weights, const Hyperparameters& hyperparameters);

// Every trainable tensor with its state-dict name, once (tied tensors once). The pointers point into `weights`. Whoever
// puts another tensor in the place of a tied token matrix puts it into `mlm.decoder` as well.
std::vector<std::pair<std::string, at::Tensor*>> TrainableTensors(Weights& weights);

// How fresh weights differ from the published draw, which is the default: every ReZero gate closed (0), token and
// segment rows and Time2Vec uniform in [-0.01, 0.01].
struct Initialization {
  double gate = 0;  // of attention, MLP and segment
  double age_gate = 0;
  double abspos_gate = 0;
  double embedding_scale = 1;  // token and segment rows times this
  // The frequencies of abspos times this: as published they are so small that dates can hardly be told apart.
  double abspos_scale = 1;

  // Lets short trainings use every branch: the gates of age and abspos are 0.1 and 0.03 of `gate` (their vectors are
  // longer), and token and segment rows are drawn 20 times wider to be seen beside them. Gate 0 is as published.
  static Initialization Open(double gate);
};

// Fresh FLOAT weights on the CPU, drawn from `seed`; linear layers as nn.Linear.
Weights InitializeWeights(const Hyperparameters& hyperparameters, uint64_t seed, const Initialization& initialization);
inline Weights InitializeWeights(const Hyperparameters& hyperparameters, uint64_t seed, double gate) {
  return InitializeWeights(hyperparameters, seed, Initialization::Open(gate));
}

// Draws the projections of all layers anew, each from the next seed. Replaces tensors, never writes into them.
void RedrawProjections(const Hyperparameters& hyperparameters, const std::function<uint64_t()>& next_seed,
                       Weights& weights);

// A FAVOR+ projection matrix [features, head_dim] (blocks of orthonormal rows with Gaussian norms), from `seed`.
at::Tensor DrawProjection(int64_t features, int64_t head_dim, uint64_t seed);

}  // namespace lifescope
