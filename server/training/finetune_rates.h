// How fast each tensor learns in fine-tuning: layer-wise learning-rate decay and AdamW's groups.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace lifescope {

struct FinetuneRates {
  // Learning rate of the decoder. Layer l of L learns at this times layer_decay^(L - l), the embeddings at this times
  // layer_decay^L.
  double decoder = 1e-3;
  double layer_decay = 0.95;
  // Weight decay of the layers' weights (biases and gates have none), and of the whole decoder. Embeddings have none.
  double layer_weight_decay = 0.001;
  double decoder_weight_decay = 0.01;
};

struct ParameterGroup {
  double learning_rate = 0;
  double weight_decay = 0;
};

// Of a tensor by its state-dict name.
ParameterGroup GroupOf(const std::string& name, int64_t n_encoders, const FinetuneRates& rates);

bool IsTokenMatrix(const std::string& name);
// Published freezing of the embeddings: sets the token matrix' gradient to 0 but for rows 1 ([CLS]), 8 ([PLCH4]) and 9
// ([UNK]), in place. Does nothing to an undefined gradient.
void FreezeTokens(const at::Tensor& gradient);

}  // namespace lifescope
