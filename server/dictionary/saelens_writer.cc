#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/topk_trainer.h"

namespace lifescope {
namespace {

// The version of the format. SAELens takes a file without it for one of the flat form before version 6.
constexpr char kFormatVersion[] = "6.18.0";

std::string ConfigText(const TopKTrainer::Weights& weights, int64_t k, const DictionaryInfo& info) {
  const nlohmann::ordered_json config{
      {"architecture", "topk"},
      {"d_in", weights.w_enc.size(0)},
      {"d_sae", weights.w_enc.size(1)},
      {"k", k},
      {"dtype", "float32"},
      {"device", "cpu"},
      {"apply_b_dec_to_input", true},
      {"normalize_activations", "none"},
      {"reshape_activations", "none"},
      {"rescale_acts_by_decoder_norm", false},
      {"metadata", {{"sae_lens_version", kFormatVersion}, {"model_name", info.model}, {"hook_name", info.hook_point}}},
  };
  return config.dump(2) + "\n";
}

}  // namespace

void WriteSaeLensTopK(const std::string& folder, const TopKTrainer::Weights& weights, int64_t k,
                      const DictionaryInfo& info) {
  PartialFolder partial(folder);
  const auto stored = [](const at::Tensor& tensor) { return tensor.to(at::kCPU, at::kFloat).contiguous(); };
  WriteSafetensors(partial.path() + "/sae_weights.safetensors", {{"W_enc", stored(weights.w_enc)},
                                                                 {"W_dec", stored(weights.w_dec)},
                                                                 {"b_enc", stored(weights.b_enc)},
                                                                 {"b_dec", stored(weights.b_dec)}});
  WriteFileAtomically(partial.path() + "/cfg.json", ConfigText(weights, k, info));
  partial.Publish();
}

}  // namespace lifescope
