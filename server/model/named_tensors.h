// The one list of trainable tensors: field, state-dict name and shape. Private to server/model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/model/hyperparameters.h"
#include "server/model/weights.h"

namespace lifescope {

struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  at::Tensor* tensor;
};

// Every trainable tensor but the MLM decoder, which may be tied; those of the heads where there are heads.
// `weights.blocks` has its length and `weights.embedding.center.enabled` its value. Names do not depend on the other
// hyperparameters.
std::vector<NamedTensor> NamedTensors(Weights& weights, const Hyperparameters& hyperparameters);
NamedTensor MlmDecoder(Weights& weights, const Hyperparameters& hyperparameters);
// The FAVOR+ projection of a layer: part of the state dict, never trained.
NamedTensor Projection(Weights& weights, int64_t layer, const Hyperparameters& hyperparameters);

// Prefix of the Center buffers (norm, use_ignore_index, ignore_index) of the two token matrices.
inline constexpr char kTokenCenter[] = "transformer.embedding.token.parametrizations.weight.0.";
inline constexpr char kMlmCenter[] = "mlm_decoder.out.parametrizations.weight.0.";

}  // namespace lifescope
