#include "server/model/weights.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/model/named_tensors.h"

namespace lifescope {
namespace {

std::string TokenMatrixName(const std::string& owner, const Center& center) {
  return owner + (center.enabled ? ".parametrizations.weight.original" : ".weight");
}

std::string LayerName(size_t layer) { return "transformer.encoders." + std::to_string(layer) + "."; }

void AddTime2Vec(const std::string& name, Time2VecWeights& time, int64_t hidden, std::vector<NamedTensor>* out) {
  out->push_back({name + ".w", {1, hidden - 1}, &time.w});
  out->push_back({name + ".b", {1, hidden - 1}, &time.b});
  out->push_back({name + ".w0", {1, 1}, &time.w0});
  out->push_back({name + ".b0", {1, 1}, &time.b0});
}

void AddCenter(const std::string& prefix, const Center& center, std::map<std::string, at::Tensor>* out) {
  if (!center.enabled) return;
  const bool use = center.ignore_index.defined() && center.ignore_index.numel() > 0;
  (*out)[prefix + "norm"] = at::full({1}, center.norm, at::kBool);
  (*out)[prefix + "use_ignore_index"] = at::full({1}, use, at::kBool);
  (*out)[prefix + "ignore_index"] = use ? center.ignore_index : at::empty({0}, at::kLong);
}

}  // namespace

std::vector<NamedTensor> NamedTensors(Weights& weights, const Hyperparameters& hyperparameters) {
  const int64_t hidden = hyperparameters.hidden_size, ff = hyperparameters.hidden_ff;
  std::vector<NamedTensor> all;

  EmbeddingWeights& embedding = weights.embedding;
  const std::string prefix = "transformer.embedding.";
  all.push_back(
      {TokenMatrixName(prefix + "token", embedding.center), {hyperparameters.vocab_size, hidden}, &embedding.token});
  all.push_back({prefix + "segment.weight", {4, hidden}, &embedding.segment});
  AddTime2Vec(prefix + "age", embedding.age, hidden, &all);
  AddTime2Vec(prefix + "abspos", embedding.abspos, hidden, &all);
  all.push_back({prefix + "res_age.weights", {1}, &embedding.gate_age});
  all.push_back({prefix + "res_abs.weights", {1}, &embedding.gate_abspos});
  all.push_back({prefix + "res_seg.weights", {1}, &embedding.gate_segment});

  for (size_t layer = 0; layer < weights.blocks.size(); ++layer) {
    BlockWeights& block = weights.blocks[layer];
    const std::string name = LayerName(layer);
    all.push_back({name + "attention.attention.to_q.weight", {hidden, hidden}, &block.w_q});
    all.push_back({name + "attention.attention.to_k.weight", {hidden, hidden}, &block.w_k});
    all.push_back({name + "attention.attention.to_v.weight", {hidden, hidden}, &block.w_v});
    all.push_back({name + "attention.attention.to_out.weight", {hidden, hidden}, &block.w_o});
    all.push_back({name + "attention.attention.to_out.bias", {hidden}, &block.b_o});
    all.push_back({name + "attention_sublayer.norm.weights", {1}, &block.gate_attention});
    all.push_back({name + "position_wise.hidden2ff.weight", {ff, hidden}, &block.w_in});
    all.push_back({name + "position_wise.hidden2ff.bias", {ff}, &block.b_in});
    all.push_back({name + "position_wise.ff2hidden.weight", {hidden, ff}, &block.w_out});
    all.push_back({name + "position_wise.ff2hidden.bias", {hidden}, &block.b_out});
    all.push_back({name + "position_sublayer.norm.weights", {1}, &block.gate_mlp});
  }

  if (!hyperparameters.pretraining_heads) return all;
  all.push_back({"mlm_decoder.V.weight", {hidden, hidden}, &weights.mlm.v});
  all.push_back({"mlm_decoder.V.bias", {hidden}, &weights.mlm.b_v});
  all.push_back({"mlm_decoder.g", {1}, &weights.mlm.g});
  all.push_back({"sop_decoder.in_layer.weight", {hidden, hidden}, &weights.sop.w_in});
  all.push_back({"sop_decoder.in_layer.bias", {hidden}, &weights.sop.b_in});
  all.push_back({"sop_decoder.norm.g", {1}, &weights.sop.g});
  all.push_back({"sop_decoder.out_layer.weight", {3, hidden}, &weights.sop.w_out});
  all.push_back({"sop_decoder.out_layer.bias", {3}, &weights.sop.b_out});
  return all;
}

NamedTensor MlmDecoder(Weights& weights, const Hyperparameters& hyperparameters) {
  return {TokenMatrixName("mlm_decoder.out", weights.mlm.center),
          {hyperparameters.vocab_size, hyperparameters.hidden_size},
          &weights.mlm.decoder};
}

NamedTensor Projection(Weights& weights, int64_t layer, const Hyperparameters& hyperparameters) {
  return {LayerName(static_cast<size_t>(layer)) + "attention.attention.fast_attention.projection_matrix",
          {hyperparameters.num_random_features, hyperparameters.head_dim()},
          &weights.blocks[static_cast<size_t>(layer)].projection};
}

at::Tensor CheckedWeight(const at::Tensor& tensor, const NamedTensor& expected, const std::string& where,
                         at::ScalarType dtype, at::Device device) {
  const bool is_float = tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble;
  TORCH_CHECK_VALUE(is_float, where, " has dtype ", tensor.scalar_type(), ", expected Float or Double");
  TORCH_CHECK_VALUE(tensor.sizes() == at::IntArrayRef(expected.shape), where, " has shape ", tensor.sizes(),
                    ", expected ", at::IntArrayRef(expected.shape));
  TORCH_CHECK_VALUE(at::isfinite(tensor).all().item<bool>(), where, " holds NaN or infinity");
  return tensor.to(device, dtype);
}

std::map<std::string, at::Tensor> ToStateDict(const Weights& weights, const Hyperparameters& hyperparameters) {
  Weights view = weights;  // tensors are handles: this copies no data
  std::vector<NamedTensor> all = NamedTensors(view, hyperparameters);
  if (hyperparameters.pretraining_heads) {
    if (hyperparameters.weight_tying) view.mlm.decoder = view.embedding.token;
    all.push_back(MlmDecoder(view, hyperparameters));
  }
  for (int64_t layer = 0; layer < hyperparameters.n_encoders; ++layer) {
    all.push_back(Projection(view, layer, hyperparameters));
  }
  std::map<std::string, at::Tensor> state;
  for (const NamedTensor& named : all) state[named.name] = named.tensor->detach();
  AddCenter(kTokenCenter, view.embedding.center, &state);
  AddCenter(kMlmCenter, view.mlm.center, &state);  // disabled where there is no head
  return state;
}

std::vector<std::pair<std::string, at::Tensor*>> TrainableTensors(Weights& weights) {
  Hyperparameters names;
  names.pretraining_heads = weights.mlm.decoder.defined();
  std::vector<std::pair<std::string, at::Tensor*>> trainable;
  for (const NamedTensor& named : NamedTensors(weights, names)) trainable.emplace_back(named.name, named.tensor);
  if (names.pretraining_heads && !weights.mlm.decoder.is_same(weights.embedding.token)) {
    const NamedTensor decoder = MlmDecoder(weights, {});
    trainable.emplace_back(decoder.name, decoder.tensor);
  }
  return trainable;
}

}  // namespace lifescope
