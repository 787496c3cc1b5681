#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <set>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/codebook.h"
#include "server/dictionary/files/fold.h"
#include "server/dictionary/files/saelens.h"

namespace lifescope {
namespace {

// The version of the format. SAELens takes a file without it for one of the flat form before version 6.
constexpr char kFormatVersion[] = "6.18.0";

const char* NormalisationName(Normalisation normalisation) {
  if (normalisation == Normalisation::kConstantNormRescale) return "constant_norm_rescale";
  if (normalisation == Normalisation::kLayerNorm) return "layer_norm";
  return "none";
}

std::string ArchitectureName(const DictionaryWeights& weights, bool is_transcoder) {
  if (!is_transcoder) return weights.architecture;
  std::string name = weights.architecture == "standard" ? std::string() : weights.architecture + "_";
  if (weights.tensors.count("W_skip") > 0) name += "skip_";
  return name + "transcoder";
}

nlohmann::ordered_json Metadata(const DictionaryInfo& info, bool is_transcoder) {
  nlohmann::ordered_json metadata{{"sae_lens_version", kFormatVersion}};
  if (!info.model.empty()) metadata["model_name"] = info.model;
  metadata["hook_name"] = info.hook_point;
  if (is_transcoder && !info.output_hook_point.empty()) metadata["hook_name_out"] = info.output_hook_point;
  return metadata;
}

std::string ConfigText(const DictionaryWeights& weights, const DictionaryInfo& info, at::ScalarType dtype) {
  const DictionaryWidths widths = WidthsOf(weights);
  const bool is_transcoder = IsTranscoder(weights, info);
  const bool is_hook_z = info.hook_point.size() > 7 && info.hook_point.substr(info.hook_point.size() - 7) == ".hook_z";
  nlohmann::ordered_json config{
      {"architecture", ArchitectureName(weights, is_transcoder)},
      {"d_in", widths.input},
      {"d_sae", widths.features},
      {"dtype", dtype == at::kDouble ? "float64" : "float32"},
      {"device", "cpu"},
      {"apply_b_dec_to_input", weights.apply_b_dec_to_input},
      {"normalize_activations", NormalisationName(weights.normalisation)},
      {"reshape_activations", is_hook_z ? "hook_z" : "none"},
  };
  if (is_transcoder) config["d_out"] = widths.output;
  if (weights.k > 0) config["k"] = weights.k;
  if (weights.architecture == "sparse_coding") {
    config["l1_coefficient"] = weights.l1;
    config["iterations"] = weights.iterations;
  }
  if (weights.architecture == "topk" && !is_transcoder) config["rescale_acts_by_decoder_norm"] = false;
  config["metadata"] = Metadata(info, is_transcoder);
  return config.dump(2) + "\n";
}

}  // namespace

void WriteSaeLens(const std::string& folder, const DictionaryWeights& given, const DictionaryInfo& info) {
  CheckWeights(given, folder);
  TORCH_CHECK_VALUE(!info.hook_point.empty(), folder, ": no hook point, expected the one that the dictionary reads");
  TORCH_CHECK_VALUE(!IsCodebook(given.architecture) || !IsTranscoder(given, info), folder,
                    ": a codebook that predicts another hook point cannot be stored");
  // SAELens has no transcoders that subtract b_dec from the input.
  const DictionaryWeights weights = IsTranscoder(given, info) ? WithInputBias(given, false) : given;
  const at::ScalarType dtype = StoredDtype(given);
  std::map<std::string, at::Tensor> stored;
  for (const auto& [name, tensor] : weights.tensors) stored[name] = tensor.to(at::kCPU, dtype).contiguous();
  PartialFolder partial(folder);
  WriteSafetensors(partial.path() + "/sae_weights.safetensors", stored);
  WriteFileAtomically(partial.path() + "/cfg.json", ConfigText(weights, info, dtype));
  partial.Publish();
}

void ExportSaeLens(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info) {
  CheckWeights(weights, folder);
  const std::set<std::string> known{"standard",   "gated",           "jumprelu",           "topk",
                                    "transcoder", "skip_transcoder", "jumprelu_transcoder"};
  const std::string name = ArchitectureName(weights, IsTranscoder(weights, info));
  TORCH_CHECK_VALUE(known.count(name) > 0, "saelens cannot hold a ", name, ", which only lifescope reads");
  WriteSaeLens(folder, weights, info);
}

}  // namespace lifescope
