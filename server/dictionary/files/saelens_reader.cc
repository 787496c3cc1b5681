#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/files/saelens.h"
#include "server/dictionary/files/saelens_config.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

const char kConfigFile[] = "cfg.json";
const char kWeightsFile[] = "sae_weights.safetensors";
const char kScalerFile[] = "activation_scaler.json";

using Tensors = std::map<std::string, at::Tensor>;

void CheckShape(const Tensors& tensors, const std::string& name, at::IntArrayRef shape, const std::string& path) {
  const auto found = tensors.find(name);
  TORCH_CHECK_VALUE(found != tensors.end(), path, ": tensor '", name, "' is missing, expected shape ", shape);
  TORCH_CHECK_VALUE(found->second.sizes() == shape, path, ": tensor '", name, "' has shape ", found->second.sizes(),
                    ", expected ", shape);
}

Tensors ReadTensors(const SafetensorsFile& file, const SaeLensConfig& config) {
  Tensors tensors;
  for (const std::string& name : file.names()) {
    tensors[name] = Widen(file.Read(name));
  }
  const int64_t n = config.feature_count;
  if (!HasSearchingEncoder(config.architecture)) {
    CheckShape(tensors, "W_enc", {config.activation_dim, n}, file.path());
  }
  CheckShape(tensors, "W_dec", {n, config.output_dim}, file.path());
  if (config.has_skip) CheckShape(tensors, "W_skip", {config.output_dim, config.activation_dim}, file.path());
  TORCH_CHECK_VALUE(config.has_skip || tensors.count("W_skip") == 0, file.path(), ": unknown tensor 'W_skip' for ",
                    "architecture '", config.architecture, "'");
  if (config.has_one_threshold) {
    CheckShape(tensors, "topk_threshold", {}, file.path());
    tensors["threshold"] = tensors["topk_threshold"].expand({n});
    tensors.erase("topk_threshold");
  }
  if (config.is_flat && tensors.count("scaling_factor") > 0) {
    CheckShape(tensors, "scaling_factor", {n}, file.path());
    TORCH_CHECK_VALUE((tensors["scaling_factor"] == 1).all().item<bool>(), file.path(),
                      ": tensor 'scaling_factor' has other values than 1: finetuned scaling is not supported");
    tensors.erase("scaling_factor");
  }
  return tensors;
}

// Brings decoder directions to norm 1 and multiplies pre-activations by the norm they had: what
// rescale_acts_by_decoder_norm asks for, without a factor at run time.
void FoldDecoderNorm(Tensors& tensors) {
  const at::Tensor w_dec = tensors["W_dec"].to(at::kDouble);
  const at::Tensor norm = at::norm(w_dec, 2, 1);
  tensors["W_enc"] = tensors["W_enc"] * norm;
  tensors["b_enc"] = tensors["b_enc"] * norm;
  // A direction of zeros stays so: its feature is never active.
  tensors["W_dec"] = w_dec / norm.masked_fill(norm == 0, 1).unsqueeze(1);
}

// The weights were trained on factor * x; afterwards they read x. Feature activations are unchanged.
void FoldInputFactor(double factor, Tensors& tensors) {
  tensors["W_enc"] = tensors["W_enc"].to(at::kDouble) * factor;
  for (const char* name : {"W_dec", "b_dec"}) tensors[name] = tensors[name].to(at::kDouble) / factor;
}

Normalisation NormalisationOf(const SaeLensConfig& config) {
  if (config.normalisation == "constant_norm_rescale") return Normalisation::kConstantNormRescale;
  if (config.normalisation == "layer_norm") return Normalisation::kLayerNorm;
  return Normalisation::kNone;
}

}  // namespace

StoredDictionary ReadSaeLens(const std::string& folder) {
  const fs::path root = folder;
  const SaeLensConfig config = ReadSaeLensConfig(root / kConfigFile);
  DictionaryWeights weights{config.architecture,
                            ReadTensors(SafetensorsFile::Open(root / kWeightsFile), config),
                            config.k,
                            config.apply_b_dec_to_input,
                            NormalisationOf(config),
                            config.l1,
                            config.iterations};
  CheckWeights(weights, root / kWeightsFile);
  std::vector<std::string> files{root / kConfigFile, root / kWeightsFile};
  // The decoder norms that selection was trained with are those before the input factor is folded.
  if (config.rescale_acts_by_decoder_norm) FoldDecoderNorm(weights.tensors);
  if (config.normalisation == "expected_average_only_in") {
    TORCH_CHECK_VALUE(fs::exists(root / kScalerFile), (root / kConfigFile).string(),
                      ": key 'normalize_activations' is \"expected_average_only_in\", but there is no ", kScalerFile,
                      " beside it; expected that file with {\"scaling_factor\": ...}, or the factor folded into the "
                      "weights and \"none\"");
    FoldInputFactor(ReadActivationScaler(root / kScalerFile), weights.tensors);
    files.push_back(root / kScalerFile);
  }
  return {std::move(weights), config.info, DigestOfFiles(files)};
}

LoadedDictionary LoadSaeLens(const std::string& folder, at::ScalarType dtype, at::Device device) {
  const StoredDictionary stored = ReadSaeLens(folder);
  return {MakeDictionary(stored.weights, dtype, device), stored.info, stored.digest};
}

}  // namespace lifescope
