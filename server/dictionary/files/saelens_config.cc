#include "server/dictionary/files/saelens_config.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "server/artifact/json_object.h"
#include "server/dictionary/codebook.h"
#include "server/dictionary/weights.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

const JsonKeys kBaseKeys{"d_in",
                         "d_sae",
                         "dtype",
                         "device",
                         "apply_b_dec_to_input",
                         "normalize_activations",
                         "reshape_activations",
                         "metadata",
                         "architecture"};

// JsonKeys beside the base keys. Those that only steer training are known, so that checkpoints are read too.
const std::map<std::string, JsonKeys> kArchitectureKeys{
    {"standard", {"decoder_init_norm", "l1_coefficient", "lp_norm", "l1_warm_up_steps"}},
    {"gated", {"decoder_init_norm", "l1_coefficient", "lp_norm", "l1_warm_up_steps"}},
    {"jumprelu",
     {"decoder_init_norm", "l0_coefficient", "l0_warm_up_steps", "jumprelu_init_threshold", "jumprelu_bandwidth",
      "jumprelu_sparsity_loss_mode", "jumprelu_tanh_scale", "pre_act_loss_coefficient"}},
    {"topk",
     {"k", "rescale_acts_by_decoder_norm", "decoder_init_norm", "aux_loss_coefficient", "use_sparse_activations"}},
    {"batchtopk",
     {"k", "rescale_acts_by_decoder_norm", "decoder_init_norm", "aux_loss_coefficient", "use_sparse_activations",
      "topk_threshold_lr"}},
    {"matryoshka_batchtopk",
     {"k", "rescale_acts_by_decoder_norm", "decoder_init_norm", "aux_loss_coefficient", "use_sparse_activations",
      "topk_threshold_lr", "matryoshka_widths", "use_matryoshka_aux_loss"}},
    {"transcoder", {"d_out"}},
    {"skip_transcoder", {"d_out"}},
    {"jumprelu_transcoder", {"d_out"}},
    // SAELens has no names for these.
    {"jumprelu_skip_transcoder", {"d_out"}},
    {"gated_transcoder", {"d_out"}},
    {"gated_skip_transcoder", {"d_out"}},
    {"topk_transcoder", {"d_out", "k"}},
    {"topk_skip_transcoder", {"d_out", "k"}},
    {"sparse_coding", {"l1_coefficient", "iterations"}},
    {"gradient_pursuit", {"k"}},
    {"codebook", {"k"}},
    {"codebook_euclidean", {"k"}},
    {"groupmax", {"k"}},
    {"groupmax_transcoder", {"d_out", "k"}},
    {"groupmax_skip_transcoder", {"d_out", "k"}},
};

// JsonKeys of the flat form. The second set only describes: it moves into "metadata".
const JsonKeys kFlatKeys{"architecture",
                         "d_in",
                         "d_sae",
                         "activation_fn",
                         "activation_fn_kwargs",
                         "apply_b_dec_to_input",
                         "finetuning_scaling_factor",
                         "normalize_activations",
                         "reshape_activations",
                         "dtype",
                         "device"};
const JsonKeys kFlatMetadataKeys{"context_size",
                                 "model_name",
                                 "model_class_name",
                                 "hook_name",
                                 "hook_layer",
                                 "hook_point_layer",
                                 "hook_head_index",
                                 "prepend_bos",
                                 "dataset_path",
                                 "dataset_trust_remote_code",
                                 "sae_lens_version",
                                 "sae_lens_training_version",
                                 "model_from_pretrained_kwargs",
                                 "seqpos_slice",
                                 "exclude_special_tokens",
                                 "neuronpedia_id"};
const std::map<std::string, std::string> kFlatRenames{
    {"hook_point", "hook_name"}, {"hook_point_head_index", "hook_head_index"}, {"activation_fn_str", "activation_fn"}};

void CheckArchitecture(const JsonObject& config, const std::string& path) {
  const std::string architecture = config.Text("architecture");
  JsonKeys supported;
  for (const auto& [name, keys] : kArchitectureKeys) supported.insert(name);
  TORCH_CHECK_VALUE(supported.count(architecture) > 0, path, ": architecture '", architecture,
                    "' is not supported; supported: ", Join(supported));
}

// In the flat form, topk is an activation function of the standard architecture.
void MoveActivationFunction(const JsonObject& flat, const std::string& path, Json& nested) {
  const std::string function = flat.Has("activation_fn") ? flat.OneOf("activation_fn", {"relu", "topk"}) : "relu";
  const std::string architecture = nested["architecture"];
  const Json arguments = flat.Has("activation_fn_kwargs") ? flat.At("activation_fn_kwargs") : Json::object();
  const JsonObject kwargs(arguments, path + ": activation_fn_kwargs");
  if (function == "topk") {
    TORCH_CHECK_VALUE(architecture == "standard" || architecture == "topk", path,
                      ": activation function topk with architecture '", architecture, "', expected standard or topk");
    kwargs.OnlyKeys({"k"});
    nested["architecture"] = "topk";
    nested["k"] = kwargs.PositiveInteger("k");
  } else {
    TORCH_CHECK_VALUE(architecture != "topk", path, ": architecture 'topk' with activation function ", function,
                      ", expected topk");
    kwargs.OnlyKeys({});
  }
}

// The flat form of versions before 6, as version 6 would have written it.
Json NestFlatConfig(const Json& original, const std::string& path) {
  Json renamed = Json::object();
  for (const auto& item : original.items()) {
    const auto rename = kFlatRenames.find(item.key());
    const std::string key = rename == kFlatRenames.end() ? item.key() : rename->second;
    TORCH_CHECK_VALUE(!renamed.contains(key), path, ": key '", key, "' is there twice, under its old and its new name");
    renamed[key] = item.value();
  }
  if (!renamed.contains("architecture")) renamed["architecture"] = "standard";
  const JsonObject flat(renamed, path);
  CheckArchitecture(flat, path);
  JsonKeys known = kFlatKeys;
  known.insert(kFlatMetadataKeys.begin(), kFlatMetadataKeys.end());
  flat.OnlyKeys(known);
  if (flat.Has("finetuning_scaling_factor")) {
    flat.Checked("finetuning_scaling_factor", "false", [](const Json& v) { return v.is_boolean() && !v; });
  }

  Json nested{{"apply_b_dec_to_input", true},
              {"normalize_activations", "none"},
              {"reshape_activations", "none"},
              {"device", "cpu"},
              {"dtype", "float32"},
              {"metadata", Json::object()}};
  for (const auto& item : renamed.items()) {
    if (kFlatMetadataKeys.count(item.key()) > 0) {
      nested["metadata"][item.key()] = item.value();
    } else if (kBaseKeys.count(item.key()) > 0) {
      nested[item.key()] = item.value();
    }
  }
  Json& normalisation = nested["normalize_activations"];
  if (normalisation.is_boolean()) normalisation = normalisation.get<bool>() ? "expected_average_only_in" : "none";
  MoveActivationFunction(flat, path, nested);
  return nested;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The architecture's name as what it computes and what of it is stored.
void SetArchitecture(const std::string& name, SaeLensConfig& config) {
  config.has_one_threshold = EndsWith(name, "batchtopk");
  config.has_skip = EndsWith(name, "skip_transcoder");
  const std::string activation = name.substr(0, name.find('_'));
  const bool has_activation = activation != "transcoder" && activation != "skip";
  config.architecture = config.has_one_threshold ? "jumprelu" : has_activation ? activation : "standard";
  if (HasSearchingEncoder(name) || IsCodebook(name)) config.architecture = name;
}

DictionaryInfo ReadInfo(const JsonObject& metadata) {
  DictionaryInfo info;
  info.hook_point = metadata.Text("hook_name");
  if (metadata.Has("model_name")) info.model = metadata.Text("model_name");
  if (metadata.Has("hook_name_out") && !metadata.At("hook_name_out").is_null()) {
    info.output_hook_point = metadata.Text("hook_name_out");
  }
  // A dictionary of one attention head reads a slice of the hook point: it is another function of the model.
  if (metadata.Has("hook_head_index")) {
    metadata.Checked("hook_head_index", "null: dictionaries of a single head are not supported",
                     [](const Json& v) { return v.is_null(); });
  }
  return info;
}

SaeLensConfig ReadNested(const Json& json, const std::string& path) {
  const JsonObject config(json, path);
  CheckArchitecture(config, path);
  SaeLensConfig result;
  const std::string architecture = config.Text("architecture");
  SetArchitecture(architecture, result);
  JsonKeys known = kArchitectureKeys.at(architecture);
  known.insert(kBaseKeys.begin(), kBaseKeys.end());
  config.OnlyKeys(known);
  for (const std::string& key : kBaseKeys) config.At(key);

  result.activation_dim = config.PositiveInteger("d_in");
  result.feature_count = config.PositiveInteger("d_sae");
  result.output_dim = known.count("d_out") > 0 ? config.PositiveInteger("d_out") : result.activation_dim;
  result.apply_b_dec_to_input = config.Bool("apply_b_dec_to_input");
  TORCH_CHECK_VALUE(!result.apply_b_dec_to_input || known.count("d_out") == 0, path,
                    ": key 'apply_b_dec_to_input' is true, expected false for architecture '", architecture, "'");
  result.normalisation = config.OneOf("normalize_activations",
                                      {"none", "constant_norm_rescale", "layer_norm", "expected_average_only_in"});
  TORCH_CHECK_VALUE(result.normalisation != "expected_average_only_in" ||
                        !(HasSearchingEncoder(architecture) || IsCodebook(architecture)),
                    path, ": key 'normalize_activations' is \"expected_average_only_in\", which architecture '",
                    architecture, "' has no encoder for");
  config.OneOf("reshape_activations", {"none", "hook_z"});
  config.OneOf("dtype", {"float16", "bfloat16", "float32", "float64", "torch.float16", "torch.bfloat16",
                         "torch.float32", "torch.float64"});
  if (result.architecture == "sparse_coding") {
    result.l1 = config
                    .Checked("l1_coefficient", "a number, 0 or more",
                             [](const Json& v) { return v.is_number() && v.get<double>() >= 0; })
                    .get<double>();
    result.iterations = config.PositiveInteger("iterations");
  }
  const bool has_k = result.architecture == "topk" || result.architecture == "groupmax" ||
                     result.architecture == "gradient_pursuit" || IsCodebook(architecture);
  if (has_k) {
    result.k = config.PositiveInteger("k");
    TORCH_CHECK_VALUE(result.k <= result.feature_count, path, ": key 'k' is ", result.k, ", expected at most d_sae, ",
                      result.feature_count);
  } else if (known.count("k") > 0) {
    config.PositiveNumber("k");
  }
  if (config.Has("rescale_acts_by_decoder_norm")) {
    result.rescale_acts_by_decoder_norm = config.Bool("rescale_acts_by_decoder_norm");
  }
  result.info = ReadInfo(JsonObject(config.At("metadata"), path + ": metadata"));
  result.info.is_called_transcoder = EndsWith(architecture, "transcoder");
  return result;
}

}  // namespace

SaeLensConfig ReadSaeLensConfig(const std::string& path) {
  const Json json = ReadJsonFile(path);
  TORCH_CHECK_VALUE(json.is_object(), path, " is ", ShowJson(json), ", expected an object");
  const bool is_flat = !json.contains("metadata");
  SaeLensConfig config = ReadNested(is_flat ? NestFlatConfig(json, path) : json, path);
  config.is_flat = is_flat;
  return config;
}

double ReadActivationScaler(const std::string& path) {
  const Json json = ReadJsonFile(path);
  const JsonObject scaler(json, path);
  scaler.OnlyKeys({"scaling_factor"});
  return scaler.PositiveNumber("scaling_factor");
}

}  // namespace lifescope
