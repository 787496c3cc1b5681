#include "server/model/checkpoint_hyperparameters.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "server/model/named_tensors.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr char kCentredToken[] = "transformer.embedding.token.parametrizations.weight.original";
constexpr char kPlainToken[] = "transformer.embedding.token.weight";
constexpr char kCentredDecoder[] = "mlm_decoder.out.parametrizations.weight.original";
constexpr char kPlainDecoder[] = "mlm_decoder.out.weight";
// What no tensor shows.
constexpr const char* kOnlyGiven[] = {"n_local", "local_window_size", "max_length", "hidden_act"};

Json ParseAdded(const std::string& text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  TORCH_CHECK_VALUE(json.is_object(), source, ": not a JSON object of hyperparameters");
  return json;
}

// Collects fields; the second source of a field must agree with the first.
class Merge {
 public:
  explicit Merge(std::string source) : source_(std::move(source)) {}

  void Set(const std::string& field, const Json& value, const std::string& source) {
    const auto [place, is_new] = fields_.emplace(field, value);
    if (is_new) {
      sources_[field] = source;
    } else {
      TORCH_CHECK_VALUE(*place == value, source_, ": hyperparameter '", field, "' is ", place->dump(), " in ",
                        sources_[field], ", but ", value.dump(), " in ", source);
    }
  }
  void SetAll(const Json& fields, const std::string& source) {
    for (const auto& [field, value] : fields.items()) Set(field, value, source);
  }
  // What is there gives way.
  void Replace(const std::string& field, const Json& value, std::vector<std::string>* notes) {
    if (fields_.contains(field) && fields_[field] != value) {
      notes->push_back(field + " is " + fields_[field].dump() + " in the hyperparameters and " + value.dump() +
                       " in the checkpoint's buffers, which decide");
    }
    fields_[field] = value;
  }
  void Erase(const std::string& field) { fields_.erase(field); }
  bool Has(const std::string& field) const { return fields_.contains(field); }

  Hyperparameters Parse() const {
    std::string missing;
    for (const char* field : kOnlyGiven) {
      if (!Has(field)) missing += std::string(missing.empty() ? "" : ", ") + field;
    }
    TORCH_CHECK_VALUE(missing.empty(), source_,
                      ": hyperparameters that neither the file nor its tensors say: ", missing,
                      "; expected them in --hparams or --hparam NAME=VALUE");
    return Hyperparameters::Parse(fields_.dump(), source_);
  }

 private:
  const std::string source_;
  Json fields_ = Json::object();
  std::map<std::string, std::string> sources_;
};

at::Tensor Matrix(const StateDict& state, const std::string& name) {
  const at::Tensor matrix = state.Read(name);
  TORCH_CHECK_VALUE(matrix.dim() == 2, state.Where(name), " has shape ", matrix.sizes(), ", expected two dimensions");
  return matrix;
}

std::string Layer(int64_t layer) { return "transformer.encoders." + std::to_string(layer) + "."; }

// Sizes that shapes show. Every shape is checked once more, with its name, when the weights are read.
void AddSizes(const StateDict& state, const std::string& token, Merge* merge) {
  constexpr char kTensors[] = "the tensors";
  const at::Tensor tokens = Matrix(state, token), in = Matrix(state, Layer(0) + "position_wise.hidden2ff.weight");
  const std::string projection = Layer(0) + "attention.attention.fast_attention.projection_matrix";
  const at::Tensor features = Matrix(state, projection);
  const int64_t hidden = tokens.size(1), head_dim = features.size(1);
  TORCH_CHECK_VALUE(head_dim > 0 && hidden % head_dim == 0, state.Where(projection), " has shape ", features.sizes(),
                    ", expected a divisor of the hidden size ", hidden, " as its second size");
  int64_t layers = 0;
  while (state.tensors.count(Layer(layers) + "position_sublayer.norm.weights") > 0) ++layers;
  merge->Set("vocab_size", tokens.size(0), kTensors);
  merge->Set("hidden_size", hidden, kTensors);
  merge->Set("hidden_ff", in.size(0), kTensors);
  merge->Set("n_heads", hidden / head_dim, kTensors);
  merge->Set("num_random_features", features.size(0), kTensors);
  merge->Set("n_encoders", layers, kTensors);
}

void AddBuffer(const StateDict& state, const char* prefix, const char* field, Merge* merge,
               std::vector<std::string>* notes) {
  const std::string name = std::string(prefix) + "norm";
  if (state.tensors.count(name) == 0) return;
  const at::Tensor norm = state.Read(name);
  TORCH_CHECK_VALUE(norm.scalar_type() == at::kBool && norm.numel() == 1, state.Where(name), " is ", norm.scalar_type(),
                    " ", norm.sizes(), ", expected Bool [1]");
  merge->Replace(field, norm.item<bool>(), notes);
}

void AddHeads(const CheckpointFile& file, const std::string& token, Merge* merge) {
  merge->Set("pretraining_heads", file.has_pretraining_heads, "the tensors");
  if (!file.has_pretraining_heads) {
    // Of a head that is not there, or of another one on top of this encoder.
    merge->Erase("cls_num_targs");
    merge->Erase("weight_tying");
  } else if (!merge->Has("weight_tying")) {
    const std::string decoder = file.state.tensors.count(kCentredDecoder) > 0 ? kCentredDecoder : kPlainDecoder;
    const bool tied = at::equal(file.state.Read(decoder), file.state.Read(token));
    merge->Set("weight_tying", tied ? "wt" : "none", "the tensors");
  }
}

}  // namespace

Hyperparameters FindHyperparameters(const CheckpointFile& file, const std::string& added, const std::string& source,
                                    std::vector<std::string>* notes) {
  const bool centred = file.state.tensors.count(kCentredToken) > 0;
  const std::string token = centred ? kCentredToken : kPlainToken;
  Merge merge(file.state.path);
  if (!file.hyperparameters.empty()) merge.SetAll(Json::parse(file.hyperparameters), "the checkpoint");
  merge.SetAll(ParseAdded(added, source), source);
  AddSizes(file.state, token, &merge);
  merge.Set("parametrize_emb", centred, "the tensors");
  AddBuffer(file.state, kTokenCenter, "norm_input_emb", &merge, notes);
  AddBuffer(file.state, kMlmCenter, "norm_output_emb", &merge, notes);
  AddHeads(file, token, &merge);
  return merge.Parse();
}

}  // namespace lifescope
