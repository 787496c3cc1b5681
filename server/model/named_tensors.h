// The one list of tensors of a model and of a decoder: field, state-dict name and shape. Private to server/model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/model/decoder.h"
#include "server/model/hyperparameters.h"
#include "server/model/state_dict.h"
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

// Every tensor of a decoder, under its state-dict name.
std::vector<NamedTensor> NamedTensors(Decoder& decoder, const DecoderShape& shape);
// State-dict names that the published class of the decoder owns and never uses ("decoder.rezero.weights").
const std::vector<std::string>& UnusedTensors(const Decoder& decoder);

// The tensors of a decoder of that kind and shape. Throws c10::ValueError naming file and tensor: missing, unknown, of
// another shape or not finite.
Decoder ReadDecoder(const StateDict& state, const std::string& kind, const DecoderShape& shape, at::ScalarType dtype,
                    at::Device device);

// A tensor of a file as a weight: checked against shape, dtype (FLOAT or DOUBLE) and for finite values, in the dtype
// and on the device asked for. Throws c10::ValueError that starts with `where`, the file and the tensor's name in it.
at::Tensor CheckedWeight(const at::Tensor& tensor, const NamedTensor& expected, const std::string& where,
                         at::ScalarType dtype, at::Device device);

// Prefix of the Center buffers (norm, use_ignore_index, ignore_index) of the two token matrices.
inline constexpr char kTokenCenter[] = "transformer.embedding.token.parametrizations.weight.0.";
inline constexpr char kMlmCenter[] = "mlm_decoder.out.parametrizations.weight.0.";

}  // namespace lifescope
