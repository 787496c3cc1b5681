#include "server/dictionary/files/sparsify.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <map>
#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/json_object.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/files/fold.h"
#include "server/dictionary/files/foreign_tensors.h"

namespace lifescope {
namespace {

const char kConfigFile[] = "cfg.json";
const char kWeightsFile[] = "sae.safetensors";

struct Config {
  int64_t d_in = 0, n = 0, k = 0;
  bool has_skip = false, transcodes = false;
};

Config ReadConfig(const std::string& path) {
  const nlohmann::json json = ReadJsonFile(path);
  const JsonObject object(json, path);
  object.OnlyKeys({"activation", "expansion_factor", "normalize_decoder", "num_latents", "k", "multi_topk",
                   "skip_connection", "transcode", "d_in"});
  if (object.Has("activation")) object.OneOf("activation", {"topk"});
  const auto flag = [&](const char* key) { return object.Has(key) && object.Bool(key); };
  Config config{object.PositiveInteger("d_in"), 0, object.PositiveInteger("k"), flag("skip_connection"),
                flag("transcode")};
  const nlohmann::json& latents = object.Checked("num_latents", "a whole number, 0 for d_in times expansion_factor",
                                                 [](const auto& v) { return v.is_number_integer() && v >= 0; });
  config.n =
      latents == 0 ? config.d_in * object.PositiveInteger("expansion_factor") : object.PositiveInteger("num_latents");
  TORCH_CHECK_VALUE(config.k <= config.n, path, ": key 'k' is ", config.k, ", expected at most the number of latents, ",
                    config.n);
  return config;
}

}  // namespace

StoredDictionary ReadSparsify(const std::string& folder) {
  const std::string config_path = folder + "/" + kConfigFile;
  const Config config = ReadConfig(config_path);
  const SafetensorsFile file = SafetensorsFile::Open(folder + "/" + kWeightsFile);
  std::map<std::string, at::Tensor> stored;
  for (const std::string& name : file.names()) stored[name] = file.Read(name);
  ForeignTensors tensors(file.path(), std::move(stored));
  DictionaryWeights weights{"topk", {}, config.k, !config.transcodes, Normalisation::kNone};
  weights.tensors["W_enc"] = tensors.TakeTransposed("encoder.weight", {config.n, config.d_in});
  weights.tensors["b_enc"] = tensors.Take("encoder.bias", {config.n});
  weights.tensors["W_dec"] = tensors.Take("W_dec", {config.n, config.d_in});
  weights.tensors["b_dec"] = tensors.Take("b_dec", {config.d_in});
  if (config.has_skip) weights.tensors["W_skip"] = tensors.Take("W_skip", {config.d_in, config.d_in});
  tensors.CheckNoneLeft();
  CheckWeights(weights, file.path());
  DictionaryInfo info;
  info.is_called_transcoder = config.transcodes;
  return {std::move(weights), info, DigestOfFiles({config_path, file.path()})};
}

void WriteSparsify(const std::string& folder, const DictionaryWeights& given, const DictionaryInfo& info) {
  CheckWeights(given, folder);
  TORCH_CHECK_VALUE(given.architecture == "topk", "sparsify cannot hold architecture '", given.architecture,
                    "', expected topk");
  TORCH_CHECK_VALUE(given.normalisation == Normalisation::kNone,
                    "sparsify cannot hold a dictionary that normalises its input");
  const at::Tensor& w_enc = given.tensors.at("W_enc");
  const int64_t d_out = given.tensors.at("W_dec").size(1);
  TORCH_CHECK_VALUE(d_out == w_enc.size(0), "sparsify cannot hold a transcoder from width ", w_enc.size(0),
                    " to width ", d_out, ", expected one width");
  const bool transcodes = IsTranscoder(given, info) && !given.apply_b_dec_to_input;
  const DictionaryWeights weights = WithInputBias(given, !transcodes);
  const at::ScalarType dtype = StoredDtype(given);
  const auto get = [&](const char* name) { return weights.tensors.at(name).to(at::kCPU, dtype).contiguous(); };
  std::map<std::string, at::Tensor> stored{{"encoder.weight", get("W_enc").t().contiguous()},
                                           {"encoder.bias", get("b_enc")},
                                           {"W_dec", get("W_dec")},
                                           {"b_dec", get("b_dec")}};
  const bool has_skip = weights.tensors.count("W_skip") > 0;
  if (has_skip) stored["W_skip"] = get("W_skip");
  const nlohmann::ordered_json config{
      {"activation", "topk"},         {"expansion_factor", 32},  {"normalize_decoder", true},
      {"num_latents", w_enc.size(1)}, {"k", weights.k},          {"multi_topk", false},
      {"skip_connection", has_skip},  {"transcode", transcodes}, {"d_in", w_enc.size(0)}};
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    WriteSafetensors(partial + "/" + kWeightsFile, stored);
    WriteFileAtomically(partial + "/" + kConfigFile, config.dump());
  });
}

}  // namespace lifescope
