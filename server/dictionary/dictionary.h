// A dictionary: a set of directions with an encoder and a decoder, over one hook point (a sparse autoencoder) or from
// one to another (a transcoder). Maths on vectors; it knows nothing of models.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lifescope {

// Feature activations of some rows, compressed: the active features of row r are
// features[row_offsets[r] .. row_offsets[r + 1]), ascending. On the CPU.
struct SparseActivations {
  at::Tensor row_offsets;  // INT64 [rows + 1]
  at::Tensor features;     // INT32 [active]
  at::Tensor values;       // as the dictionary [active]; never 0
  int64_t feature_count = 0;

  int64_t rows() const { return row_offsets.size(0) - 1; }
};

// A sparse autoencoder or transcoder at inference. Const and thread-safe. Encode takes raw activations of the hook
// point: normalisation is part of the dictionary.
class Dictionary {
 public:
  virtual ~Dictionary() = default;

  // Width of the vectors that it reads.
  virtual int64_t activation_dim() const = 0;
  // Width of the vectors that it writes; activation_dim() unless it is a transcoder.
  virtual int64_t output_dim() const { return activation_dim(); }
  virtual int64_t feature_count() const = 0;
  // "standard", "gated", "jumprelu", "topk", "groupmax", "sparse_coding", "gradient_pursuit".
  virtual std::string architecture() const = 0;

  // Dense feature activations: [rows, activation_dim] -> [rows, feature_count]. Throws c10::ValueError when the
  // width is wrong.
  virtual at::Tensor Encode(const at::Tensor& x) const = 0;

  // Reconstruction of raw activations: [rows, feature_count] -> [rows, output_dim]. `x` are the rows that were encoded:
  // normalisations that depend on the row (layer_norm, constant_norm_rescale) are undone with it, and a skip transcoder
  // adds its linear part of it.
  virtual at::Tensor Decode(const at::Tensor& feature_activations, const at::Tensor& x) const = 0;

  // What a change of feature activations adds to raw activations: `change` [rows, features.size()] of `features`
  // -> [rows, output_dim]. Exactly zero where the change is zero. Throws c10::IndexError for a feature that is
  // not there.
  virtual at::Tensor DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                                  const at::Tensor& x) const = 0;

  // [feature_count, output_dim]: what each feature adds per unit of activation (before undoing per-row
  // normalisation).
  virtual at::Tensor DecoderDirections() const = 0;

  virtual at::ScalarType dtype() const = 0;
  virtual at::Device device() const = 0;
};

// Encode without the dense [rows, feature_count] matrix of all rows at once: rows in chunks.
SparseActivations EncodeSparse(const Dictionary& dictionary, const at::Tensor& x);

// Where a dictionary belongs, from its file.
struct DictionaryInfo {
  std::string model;  // name of the model it was trained on
  // "blocks.1.hook_resid_post"; of a crosscoder several, joined by '+'.
  std::string hook_point;
  // Of a transcoder, what it predicts: "blocks.1.hook_mlp_out". Empty: hook_point, or not known.
  std::string output_hook_point = {};
  // Whether the file calls it a transcoder; it may not say what it predicts.
  bool is_called_transcoder = false;

  // Whether it reads several hook points, or several models.
  bool is_crosscoder() const { return hook_point.find('+') != std::string::npos; }
};

struct LoadedDictionary {
  std::shared_ptr<const Dictionary> dictionary;
  DictionaryInfo info;
  // SHA-256 over the lines "<name> <digest of the file>" of the files that were read.
  std::string digest;

  // Whether it predicts another place than the one that it reads.
  bool is_transcoder() const {
    return info.is_called_transcoder || dictionary->output_dim() != dictionary->activation_dim() ||
           !(info.output_hook_point.empty() || info.output_hook_point == info.hook_point);
  }
};

}  // namespace lifescope
