#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "server/artifact/json_object.h"
#include "server/artifact/pickle.h"
#include "server/dictionary/files/dictionary_learning.h"
#include "server/dictionary/files/foreign_tensors.h"
#include "server/dictionary/files/torch_dict.h"

namespace lifescope {
namespace {

const char kConfigFile[] = "config.json";
const char kWeightsFile[] = "ae.pt";

struct Sizes {
  int64_t d = 0, n = 0;
};

// encoder.weight [n, d], encoder.bias [n], decoder.weight [d, n] of torch's Linear.
void TakeLinear(ForeignTensors& tensors, const Sizes& sizes, bool has_encoder_bias, DictionaryWeights& weights) {
  weights.tensors["W_enc"] = tensors.TakeTransposed("encoder.weight", {sizes.n, sizes.d});
  weights.tensors["W_dec"] = tensors.TakeTransposed("decoder.weight", {sizes.d, sizes.n});
  if (has_encoder_bias) weights.tensors["b_enc"] = tensors.Take("encoder.bias", {sizes.n});
}

// W_enc [d, n], b_enc [n], W_dec [n, d], b_dec [d].
void TakeMatrices(ForeignTensors& tensors, const Sizes& sizes, DictionaryWeights& weights) {
  weights.tensors["W_enc"] = tensors.Take("W_enc", {sizes.d, sizes.n});
  weights.tensors["W_dec"] = tensors.Take("W_dec", {sizes.n, sizes.d});
  weights.tensors["b_enc"] = tensors.Take("b_enc", {sizes.n});
  weights.tensors["b_dec"] = tensors.Take("b_dec", {sizes.d});
}

// The threshold that BatchTopK keeps for inference; below 0 until training has set it.
at::Tensor TakeOneThreshold(ForeignTensors& tensors, const Sizes& sizes) {
  const at::Tensor threshold = tensors.Take("threshold", {});
  TORCH_CHECK_VALUE(threshold.item<double>() >= 0, tensors.path(), ": tensor 'threshold' is ", threshold.item<double>(),
                    ", expected 0 or more: training stopped before it was set");
  return threshold.expand({sizes.n}).contiguous();
}

DictionaryWeights TakeAutoEncoder(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"standard", {}};
  TakeLinear(tensors, sizes, true, weights);
  weights.tensors["b_dec"] = tensors.Take("bias", {sizes.d});
  return weights;
}

DictionaryWeights TakeAutoEncoderNew(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"standard", {}, 0, /*apply_b_dec_to_input=*/false};
  TakeLinear(tensors, sizes, true, weights);
  weights.tensors["b_dec"] = tensors.Take("decoder.bias", {sizes.d});
  return weights;
}

DictionaryWeights TakeGated(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"gated", {}};
  TakeLinear(tensors, sizes, false, weights);
  weights.tensors["b_dec"] = tensors.Take("decoder_bias", {sizes.d});
  weights.tensors["r_mag"] = tensors.Take("r_mag", {sizes.n});
  weights.tensors["b_gate"] = tensors.Take("gate_bias", {sizes.n});
  weights.tensors["b_mag"] = tensors.Take("mag_bias", {sizes.n});
  return weights;
}

DictionaryWeights TakeJumpRelu(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"jumprelu", {}, 0, /*apply_b_dec_to_input=*/false};
  TakeMatrices(tensors, sizes, weights);
  weights.tensors["threshold"] = tensors.Take("threshold", {sizes.n});
  return weights;
}

DictionaryWeights TakeTopK(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"topk", {}};
  TakeLinear(tensors, sizes, true, weights);
  weights.tensors["b_dec"] = tensors.Take("b_dec", {sizes.d});
  weights.k = tensors.TakeInteger("k");
  // For an inference that it is not asked for by default.
  tensors.Drop("threshold");
  return weights;
}

DictionaryWeights TakeBatchTopK(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"jumprelu", {}};
  TakeLinear(tensors, sizes, true, weights);
  weights.tensors["b_dec"] = tensors.Take("b_dec", {sizes.d});
  weights.tensors["threshold"] = TakeOneThreshold(tensors, sizes);
  weights.k = tensors.TakeInteger("k");
  return weights;
}

DictionaryWeights TakeMatryoshka(ForeignTensors& tensors, const Sizes& sizes) {
  DictionaryWeights weights{"jumprelu", {}};
  TakeMatrices(tensors, sizes, weights);
  weights.tensors["threshold"] = TakeOneThreshold(tensors, sizes);
  weights.k = tensors.TakeInteger("k");
  tensors.Drop("group_sizes");
  return weights;
}

using TakeWeights = DictionaryWeights (*)(ForeignTensors&, const Sizes&);
const std::map<std::string, TakeWeights> kClasses{
    {"AutoEncoder", TakeAutoEncoder},          {"AutoEncoderNew", TakeAutoEncoderNew}, {"GatedAutoEncoder", TakeGated},
    {"JumpReluAutoEncoder", TakeJumpRelu},     {"AutoEncoderTopK", TakeTopK},          {"BatchTopKSAE", TakeBatchTopK},
    {"MatryoshkaBatchTopKSAE", TakeMatryoshka}};

std::string OptionalText(const JsonObject& object, const std::string& key) {
  return object.Has(key) && !object.At(key).is_null() ? object.Text(key) : std::string();
}

}  // namespace

StoredDictionary ReadDictionaryLearning(const std::string& folder) {
  const std::string config_path = folder + "/" + kConfigFile, path = folder + "/" + kWeightsFile;
  const nlohmann::json json = ReadJsonFile(config_path);
  const JsonObject config(json, config_path);
  config.OnlyKeys({"trainer", "buffer"});
  const JsonObject trainer(config.At("trainer"), config_path + ": trainer");
  JsonKeys classes;
  for (const auto& [name, take] : kClasses) classes.insert(name);
  const std::string name = trainer.OneOf("dict_class", classes);
  const Sizes sizes{trainer.PositiveInteger("activation_dim"), trainer.PositiveInteger("dict_size")};

  TorchDict dict = ReadTorchDict(path);
  TORCH_CHECK_VALUE(dict.texts.empty() && dict.integers.empty(), path, ": an entry ",
                    Quoted(dict.texts.empty() ? dict.integers.begin()->first : dict.texts.begin()->first),
                    " that is no tensor, expected a state dict");
  ForeignTensors tensors(path, std::move(dict.tensors));
  DictionaryWeights weights = kClasses.at(name)(tensors, sizes);
  tensors.CheckNoneLeft();
  if (weights.k != 0) {
    const int64_t k = trainer.PositiveInteger("k");
    TORCH_CHECK_VALUE(weights.k == k, path, ": tensor 'k' is ", weights.k, ", expected ", k, " as in ", kConfigFile);
  }
  if (weights.architecture != "topk") weights.k = 0;
  CheckWeights(weights, path);
  DictionaryInfo info{OptionalText(trainer, "lm_name"), OptionalText(trainer, "submodule_name")};
  return {std::move(weights), std::move(info), DigestOfFiles({config_path, path})};
}

}  // namespace lifescope
