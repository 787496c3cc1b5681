#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/codebook.h"
#include "server/dictionary/decoder_norm.h"
#include "server/dictionary/files/saelens.h"
#include "server/dictionary/files/saelens_config.h"
#include "server/dictionary/input_scale.h"

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
  if (IsCodebook(config.architecture)) {
    CheckShape(tensors, "codes", {n, config.activation_dim}, file.path());
    return tensors;
  }
  if (!HasSearchingEncoder(config.architecture)) {
    CheckShape(tensors, "W_enc", {config.activation_dim, n}, file.path());
  }
  CheckShape(tensors, "W_dec", {n, config.output_dim}, file.path());
  if (config.has_skip) CheckShape(tensors, "W_skip", {config.output_dim, config.activation_dim}, file.path());
  TORCH_CHECK_VALUE(config.has_skip || tensors.count("W_skip") == 0, file.path(), ": unknown tensor 'W_skip' for ",
                    "architecture '", config.architecture, "'");
  if (config.has_one_threshold) {
    CheckShape(tensors, "topk_threshold", {}, file.path());
    TORCH_CHECK_VALUE(tensors["topk_threshold"].item<double>() > 0, file.path(), ": tensor 'topk_threshold' is ",
                      tensors["topk_threshold"].item<double>(), ", expected above 0, as training sets it");
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
  if (config.rescale_acts_by_decoder_norm) {
    const at::Tensor threshold = config.has_one_threshold ? weights.tensors.at("threshold") : at::Tensor();
    weights = FoldDecoderNorm(std::move(weights));
    // That of batchtopk is compared with products with the norm already.
    if (threshold.defined()) weights.tensors["threshold"] = threshold.to(at::kDouble);
  }
  if (config.normalisation == "expected_average_only_in") {
    TORCH_CHECK_VALUE(fs::exists(root / kScalerFile), (root / kConfigFile).string(),
                      ": key 'normalize_activations' is \"expected_average_only_in\", but there is no ", kScalerFile,
                      " beside it; expected that file with {\"scaling_factor\": ...}, or the factor folded into the "
                      "weights and \"none\"");
    const double factor = ReadActivationScaler(root / kScalerFile);
    weights = FoldInputScale(std::move(weights), factor, FeatureUnits::kOfTraining);
    files.push_back(root / kScalerFile);
  }
  // What was folded may have become larger than a number can be.
  CheckWeights(weights, root / kWeightsFile);
  return {std::move(weights), config.info, DigestOfFiles(files)};
}

LoadedDictionary LoadSaeLens(const std::string& folder, at::ScalarType dtype, at::Device device) {
  const StoredDictionary stored = ReadSaeLens(folder);
  return {MakeDictionary(stored.weights, dtype, device), stored.info, stored.digest};
}

}  // namespace lifescope
