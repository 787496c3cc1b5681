#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <filesystem>
#include <map>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/dictionary.h"
#include "server/dictionary/gated_sae.h"
#include "server/dictionary/jumprelu_sae.h"
#include "server/dictionary/saelens_config.h"
#include "server/dictionary/standard_sae.h"
#include "server/dictionary/topk_sae.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

const char kConfigFile[] = "cfg.json";
const char kWeightsFile[] = "sae_weights.safetensors";
const char kScalerFile[] = "activation_scaler.json";

using Tensors = std::map<std::string, at::Tensor>;
using Shapes = std::map<std::string, std::vector<int64_t>>;

bool HasOneThreshold(const SaeLensConfig& config) {
  return config.architecture == "batchtopk" || config.architecture == "matryoshka_batchtopk";
}

Shapes ExpectedShapes(const SaeLensConfig& config) {
  const int64_t d = config.activation_dim, n = config.feature_count;
  Shapes shapes{{"W_enc", {d, n}}, {"W_dec", {n, d}}, {"b_dec", {d}}};
  if (config.architecture == "gated") {
    for (const char* name : {"b_gate", "b_mag", "r_mag"}) shapes[name] = {n};
  } else {
    shapes["b_enc"] = {n};
  }
  if (config.architecture == "jumprelu") shapes["threshold"] = {n};
  if (HasOneThreshold(config)) shapes["topk_threshold"] = {};
  return shapes;
}

at::Tensor ReadTensor(const SafetensorsFile& file, const std::string& name, at::IntArrayRef shape) {
  TORCH_CHECK_VALUE(file.Contains(name), file.path(), ": tensor '", name, "' is missing, expected shape ", shape);
  const at::Tensor stored = file.Read(name);
  TORCH_CHECK_VALUE(stored.sizes() == shape, file.path(), ": tensor '", name, "' has shape ", stored.sizes(),
                    ", expected ", shape);
  TORCH_CHECK_VALUE(at::isFloatingType(stored.scalar_type()), file.path(), ": tensor '", name, "' is ",
                    stored.scalar_type(), ", expected Half, BFloat16, Float or Double");
  // Folding is done in float64, and only its result is rounded to the dictionary's dtype.
  const at::Tensor values = stored.to(at::kDouble);
  TORCH_CHECK_VALUE(at::isfinite(values).all().item<bool>(), file.path(), ": tensor '", name,
                    "' has a value that is NaN or infinite, expected finite values");
  return values;
}

Tensors ReadTensors(const SafetensorsFile& file, const SaeLensConfig& config) {
  const Shapes shapes = ExpectedShapes(config);
  Tensors tensors;
  for (const auto& [name, shape] : shapes) tensors[name] = ReadTensor(file, name, shape);
  for (const std::string& name : file.names()) {
    if (shapes.count(name) > 0) continue;
    TORCH_CHECK_VALUE(config.is_flat && name == "scaling_factor", file.path(), ": unknown tensor '", name,
                      "' for architecture '", config.architecture, "'");
    const at::Tensor factors = ReadTensor(file, name, {config.feature_count});
    TORCH_CHECK_VALUE((factors == 1).all().item<bool>(), file.path(),
                      ": tensor 'scaling_factor' has other values than 1: finetuned scaling is not supported");
  }
  return tensors;
}

// Brings decoder directions to norm 1 and multiplies pre-activations by the norm they had: what
// rescale_acts_by_decoder_norm asks for, without a factor at run time.
void FoldDecoderNorm(Tensors& tensors) {
  const at::Tensor norm = at::norm(tensors["W_dec"], 2, 1);
  tensors["W_enc"] = tensors["W_enc"] * norm;
  tensors["b_enc"] = tensors["b_enc"] * norm;
  // A direction of zeros stays so: its feature is never active.
  tensors["W_dec"] = tensors["W_dec"] / norm.masked_fill(norm == 0, 1).unsqueeze(1);
}

// The weights were trained on factor * x; afterwards they read x. Feature activations are unchanged.
void FoldInputFactor(double factor, Tensors& tensors) {
  tensors["W_enc"] = tensors["W_enc"] * factor;
  tensors["W_dec"] = tensors["W_dec"] / factor;
  tensors["b_dec"] = tensors["b_dec"] / factor;
}

Normalisation NormalisationOf(const SaeLensConfig& config) {
  if (config.normalisation == "constant_norm_rescale") return Normalisation::kConstantNormRescale;
  if (config.normalisation == "layer_norm") return Normalisation::kLayerNorm;
  return Normalisation::kNone;
}

std::shared_ptr<const Dictionary> MakeDictionary(const SaeLensConfig& config, const Tensors& tensors,
                                                 at::ScalarType dtype, at::Device device) {
  const auto get = [&](const char* name) { return tensors.at(name).to(device, dtype).contiguous(); };
  SaeWeights weights{get("W_enc"), get("W_dec"), get("b_dec"), config.apply_b_dec_to_input, NormalisationOf(config)};
  if (config.architecture == "standard") return std::make_shared<StandardSae>(std::move(weights), get("b_enc"));
  if (config.architecture == "gated") {
    return std::make_shared<GatedSae>(std::move(weights), get("b_gate"), get("b_mag"), get("r_mag"));
  }
  if (config.architecture == "topk") return std::make_shared<TopKSae>(std::move(weights), get("b_enc"), config.k);
  const at::Tensor threshold =
      HasOneThreshold(config) ? get("topk_threshold").expand({config.feature_count}).contiguous() : get("threshold");
  return std::make_shared<JumpReluSae>(std::move(weights), get("b_enc"), threshold);
}

std::string DigestOf(const fs::path& folder, const std::vector<std::string>& names) {
  std::map<std::string, std::string> digests;
  for (const std::string& name : names) digests[name] = Sha256OfFile(folder / name);
  std::string lines;
  for (const auto& [name, digest] : digests) lines += name + " " + digest + "\n";
  return Sha256(lines);
}

}  // namespace

LoadedDictionary LoadSaeLens(const std::string& folder, at::ScalarType dtype, at::Device device) {
  TORCH_CHECK_VALUE(dtype == at::kFloat || dtype == at::kDouble, "dictionary dtype is ", dtype,
                    ", expected Float or Double");
  const fs::path root = folder;
  const SaeLensConfig config = ReadSaeLensConfig(root / kConfigFile);
  Tensors tensors = ReadTensors(SafetensorsFile::Open(root / kWeightsFile), config);
  std::vector<std::string> files{kConfigFile, kWeightsFile};
  // The decoder norms that selection was trained with are those before the input factor is folded.
  if (config.rescale_acts_by_decoder_norm) FoldDecoderNorm(tensors);
  if (config.normalisation == "expected_average_only_in") {
    TORCH_CHECK_VALUE(fs::exists(root / kScalerFile), (root / kConfigFile).string(),
                      ": key 'normalize_activations' is \"expected_average_only_in\", but there is no ", kScalerFile,
                      " beside it; expected that file with {\"scaling_factor\": ...}, or the factor folded into the "
                      "weights and \"none\"");
    FoldInputFactor(ReadActivationScaler(root / kScalerFile), tensors);
    files.push_back(kScalerFile);
  }
  return {MakeDictionary(config, tensors, dtype, device), config.info, DigestOf(root, files)};
}

}  // namespace lifescope
