#include "server/model/hyperparameters.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

namespace lifescope {
namespace {

using Json = nlohmann::json;

struct ActivationName {
  const char* name;
  Activation activation;
};
constexpr ActivationName kActivations[] = {{"gelu", Activation::kGelu},
                                           {"gelu_custom", Activation::kGeluCustom},
                                           {"relu", Activation::kRelu},
                                           {"swish", Activation::kSwish},
                                           {"gelu_google", Activation::kGeluGoogle}};

// Reads fields of one object; every error names the file and the field.
class FieldReader {
 public:
  FieldReader(const Json& object, const std::string& source) : object_(object), source_(source) {}

  int64_t Size(const char* field, int64_t minimum) const {
    constexpr int64_t kMaximum = int64_t{1} << 31;
    TORCH_CHECK_VALUE(object_.contains(field), source_, ": field '", field, "' is missing, expected an integer");
    const Json& value = object_[field];
    TORCH_CHECK_VALUE(value.is_number_integer() && value >= minimum && value <= kMaximum, source_, ": field '", field,
                      "' is ", value.dump(), ", expected an integer in [", minimum, ", ", kMaximum, "]");
    return value.get<int64_t>();
  }

  bool Flag(const char* field, bool missing) const {
    if (!object_.contains(field)) return missing;
    TORCH_CHECK_VALUE(object_[field].is_boolean(), source_, ": field '", field, "' is ", object_[field].dump(),
                      ", expected true or false");
    return object_[field].get<bool>();
  }

  double Number(const char* field, double missing, double below) const {
    if (!object_.contains(field)) return missing;
    const Json& value = object_[field];
    TORCH_CHECK_VALUE(value.is_number() && value >= 0.0 && value < below, source_, ": field '", field, "' is ",
                      value.dump(), ", expected a number in [0, ", below, ")");
    return value.get<double>();
  }

  // The field may be absent, or hold the one value that is implemented.
  void Only(const char* field, const Json& expected) const {
    if (!object_.contains(field)) return;
    TORCH_CHECK_VALUE(object_[field] == expected, source_, ": field '", field, "' is ", object_[field].dump(),
                      ", expected ", expected.dump());
  }

  Activation HiddenAct() const {
    std::string expected;
    const Json value = object_.value("hidden_act", Json());
    for (const ActivationName& known : kActivations) {
      if (value == known.name) return known.activation;
      expected += std::string(expected.empty() ? "" : ", ") + known.name;
    }
    TORCH_CHECK_VALUE(false, source_, ": field 'hidden_act' is ", value.dump(), ", expected one of ", expected);
  }

  // The published code ties on the string "wt" alone and leaves the decoder free on anything else.
  bool WeightTying() const { return object_.value("weight_tying", Json()) == "wt"; }

 private:
  const Json& object_;
  const std::string& source_;
};

Json ParseObject(const std::string& text, const std::string& source) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    TORCH_CHECK_VALUE(false, source, ": not JSON: ", error.what());
  }
  TORCH_CHECK_VALUE(json.is_object(), source, ": not a JSON object");
  return json;
}

}  // namespace

Hyperparameters Hyperparameters::Parse(const std::string& text, const std::string& source) {
  const Json json = ParseObject(text, source);
  const FieldReader reader(json, source);
  reader.Only("attention_type", "performer");
  reader.Only("norm_type", "rezero");
  reader.Only("cls_num_targs", 3);

  Hyperparameters h;
  h.hidden_size = reader.Size("hidden_size", 2);
  h.hidden_ff = reader.Size("hidden_ff", 1);
  h.n_encoders = reader.Size("n_encoders", 1);
  h.n_heads = reader.Size("n_heads", 1);
  h.n_local = reader.Size("n_local", 0);
  h.local_window_size = reader.Size("local_window_size", 1);
  h.num_random_features = reader.Size("num_random_features", 1);
  h.max_length = reader.Size("max_length", 1);
  h.vocab_size = reader.Size("vocab_size", 1);
  h.hidden_act = reader.HiddenAct();
  h.parametrize_emb = reader.Flag("parametrize_emb", h.parametrize_emb);
  h.norm_input_emb = reader.Flag("norm_input_emb", h.norm_input_emb);
  h.norm_output_emb = reader.Flag("norm_output_emb", h.norm_output_emb);
  h.weight_tying = reader.WeightTying();
  h.pretraining_heads = reader.Flag("pretraining_heads", h.pretraining_heads);
  h.epsilon = reader.Number("epsilon", h.epsilon, 1);
  h.emb_dropout = reader.Number("emb_dropout", h.emb_dropout, 1);
  h.fw_dropout = reader.Number("fw_dropout", h.fw_dropout, 1);
  h.att_dropout = reader.Number("att_dropout", h.att_dropout, 1);
  h.dc_dropout = reader.Number("dc_dropout", h.dc_dropout, 1);

  TORCH_CHECK_VALUE(h.hidden_size % h.n_heads == 0, source, ": field 'n_heads' is ", h.n_heads,
                    ", expected a divisor of hidden_size ", h.hidden_size);
  TORCH_CHECK_VALUE(h.n_local <= h.n_heads, source, ": field 'n_local' is ", h.n_local, ", expected at most n_heads ",
                    h.n_heads);
  return h;
}

void Hyperparameters::CheckPretrainingHeads(const std::string& what) const {
  TORCH_CHECK_VALUE(pretraining_heads, what, ": the model has no masked-token and no sentence-order head, ",
                    "its weights were saved without them");
}

std::string Hyperparameters::ToJson() const {
  nlohmann::ordered_json json;
  json["hidden_size"] = hidden_size;
  json["hidden_ff"] = hidden_ff;
  json["n_encoders"] = n_encoders;
  json["n_heads"] = n_heads;
  json["n_local"] = n_local;
  json["local_window_size"] = local_window_size;
  json["num_random_features"] = num_random_features;
  json["max_length"] = max_length;
  json["vocab_size"] = vocab_size;
  json["attention_type"] = "performer";
  json["norm_type"] = "rezero";
  json["cls_num_targs"] = 3;
  for (const ActivationName& known : kActivations) {
    if (known.activation == hidden_act) json["hidden_act"] = known.name;
  }
  json["parametrize_emb"] = parametrize_emb;
  json["norm_input_emb"] = norm_input_emb;
  json["norm_output_emb"] = norm_output_emb;
  json["weight_tying"] = weight_tying ? "wt" : "none";
  json["pretraining_heads"] = pretraining_heads;
  json["epsilon"] = epsilon;
  json["emb_dropout"] = emb_dropout;
  json["fw_dropout"] = fw_dropout;
  json["att_dropout"] = att_dropout;
  json["dc_dropout"] = dc_dropout;
  return json.dump(1) + "\n";
}

}  // namespace lifescope
