#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/torch_file.h"
#include "server/dictionary/files/dictionary_learning.h"
#include "server/dictionary/files/fold.h"

namespace lifescope {
namespace {

using Json = nlohmann::ordered_json;

struct ClassNames {
  const char *dictionary, *trainer;
};

ClassNames ClassOf(const DictionaryWeights& weights) {
  if (weights.architecture == "gated") return {"GatedAutoEncoder", "GatedSAETrainer"};
  if (weights.architecture == "jumprelu") return {"JumpReluAutoEncoder", "JumpReluTrainer"};
  if (weights.architecture == "topk") return {"AutoEncoderTopK", "TopKTrainer"};
  if (weights.apply_b_dec_to_input) return {"AutoEncoder", "StandardTrainer"};
  return {"AutoEncoderNew", "StandardTrainerAprilUpdate"};
}

// The state dict, in the order in which the class registers its parameters.
std::vector<TorchEntry> Entries(const DictionaryWeights& weights, at::ScalarType dtype) {
  const auto get = [&](const char* name) { return weights.tensors.at(name).to(at::kCPU, dtype).contiguous(); };
  const auto turned = [&](const char* name) { return get(name).t().contiguous(); };
  const TorchEntry encoder{"encoder.weight", turned("W_enc")}, decoder{"decoder.weight", turned("W_dec")};
  if (weights.architecture == "gated") {
    return {{"decoder_bias", get("b_dec")},
            {"r_mag", get("r_mag")},
            {"gate_bias", get("b_gate")},
            {"mag_bias", get("b_mag")},
            encoder,
            decoder};
  }
  if (weights.architecture == "jumprelu") {
    return {{"W_enc", get("W_enc")},
            {"b_enc", get("b_enc")},
            {"W_dec", get("W_dec")},
            {"b_dec", get("b_dec")},
            {"threshold", get("threshold")}};
  }
  const TorchEntry bias{"encoder.bias", get("b_enc")};
  if (weights.architecture == "topk") {
    return {{"b_dec", get("b_dec")},
            {"k", at::scalar_tensor(weights.k, at::kInt)},
            {"threshold", at::scalar_tensor(-1.0, at::kFloat)},
            decoder,
            encoder,
            bias};
  }
  if (weights.apply_b_dec_to_input) return {{"bias", get("b_dec")}, encoder, bias, decoder};
  return {encoder, bias, decoder, {"decoder.bias", get("b_dec")}};
}

// The N of "blocks.N.hook": null when the hook point is named otherwise.
Json LayerOf(const std::string& hook_point) {
  const std::string prefix = "blocks.";
  if (hook_point.compare(0, prefix.size(), prefix) != 0) return nullptr;
  const std::string rest = hook_point.substr(prefix.size());
  const size_t digits = rest.find_first_not_of("0123456789");
  if (digits == 0 || digits > 4 || digits == std::string::npos) return nullptr;
  return std::stoi(rest.substr(0, digits));
}

Json Config(const DictionaryWeights& weights, const DictionaryInfo& info) {
  const ClassNames names = ClassOf(weights);
  Json trainer{{"trainer_class", names.trainer},
               {"dict_class", names.dictionary},
               {"activation_dim", weights.tensors.at("W_enc").size(0)},
               {"dict_size", weights.tensors.at("W_enc").size(1)}};
  if (weights.architecture == "topk") trainer["k"] = weights.k;
  const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
  trainer["device"] = "cpu";
  trainer["layer"] = LayerOf(info.hook_point);
  trainer["lm_name"] = text(info.model);
  trainer["submodule_name"] = text(info.hook_point);
  return {{"trainer", trainer}};
}

}  // namespace

void WriteDictionaryLearning(const std::string& folder, const DictionaryWeights& given, const DictionaryInfo& info) {
  CheckWeights(given, folder);
  TORCH_CHECK_VALUE(given.normalisation == Normalisation::kNone,
                    "dictionary_learning cannot hold a dictionary that normalises its input");
  TORCH_CHECK_VALUE(given.architecture != "groupmax", "dictionary_learning cannot hold architecture 'groupmax'");
  TORCH_CHECK_VALUE(!IsTranscoder(given, info), "dictionary_learning cannot hold a transcoder");
  const bool keeps_bias = given.architecture == "standard";
  const DictionaryWeights weights =
      keeps_bias ? given : WithInputBias(given, /*apply_b_dec_to_input=*/given.architecture != "jumprelu");
  const std::string config = Config(weights, info).dump(4);
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    WriteTorchFile(partial + "/ae.pt", Entries(weights, StoredDtype(given)));
    WriteFileAtomically(partial + "/config.json", config);
  });
}

}  // namespace lifescope
