// life2vec's hyperparameters under their published names (hparams.json).
#pragma once

#include <cstdint>
#include <string>

namespace lifescope {

enum class Activation { kGelu, kGeluCustom, kRelu, kSwish, kGeluGoogle };

// Field names are those of hparams.json. Defaults are the paper's where a file may omit the field.
struct Hyperparameters {
  int64_t hidden_size = 0;
  int64_t hidden_ff = 0;
  int64_t n_encoders = 0;
  int64_t n_heads = 0;
  // Of n_heads, the last n_local are local; the first n_heads - n_local are global (FAVOR+).
  int64_t n_local = 0;
  int64_t local_window_size = 0;
  int64_t num_random_features = 0;
  int64_t max_length = 0;
  int64_t vocab_size = 0;
  Activation hidden_act = Activation::kSwish;
  // Centre the token matrix (the `Center` parametrisation).
  bool parametrize_emb = true;
  bool norm_input_emb = false;
  bool norm_output_emb = true;
  // "wt": the MLM decoder shares the token matrix.
  bool weight_tying = true;
  // Of ScaleNorm.
  double epsilon = 1e-6;
  // Whether the model has the two heads of pre-training. Not a published name: lifescope's own, for weights that were
  // saved without them (`transformer.state_dict()`).
  bool pretraining_heads = true;
  // Used in training alone.
  double emb_dropout = 0.1, fw_dropout = 0.1, att_dropout = 0.1, dc_dropout = 0.1;

  int64_t head_dim() const { return hidden_size / n_heads; }
  int64_t n_global() const { return n_heads - n_local; }
  // Throws c10::ValueError that begins with `what` when the model has no pre-training heads.
  void CheckPretrainingHeads(const std::string& what) const;

  // Parses the text of an hparams.json. Throws c10::ValueError naming the field, what was found and what
  // was expected: missing or non-positive sizes, heads that do not divide hidden_size, an unknown hidden_act,
  // attention_type other than "performer", norm_type other than "rezero". Training-only fields are ignored.
  static Hyperparameters Parse(const std::string& json, const std::string& source);
  // The text of an hparams.json with every field of this struct.
  std::string ToJson() const;
};

}  // namespace lifescope
