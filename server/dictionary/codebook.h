// A codebook bottleneck (Tamkin et al. 2023, "Codebook Features", arXiv:2310.17230): every row is replaced by the mean
// of the k codes that it is most like.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/weights.h"

namespace lifescope {

// By which codes are chosen. As architectures: "codebook" and "codebook_euclidean".
enum class CodeSimilarity {
  kInnerProduct,  // <h, code> / |code|
  kEuclidean,     // -|h - code|
};

struct CodebookWeights {
  at::Tensor codes;        // [codes, width]
  at::Tensor norm_weight;  // [width], of the layer norm before the comparison
  at::Tensor norm_bias;    // [width]
  int64_t k = 1;
  CodeSimilarity similarity = CodeSimilarity::kInnerProduct;
};

// Layer norm of rows [rows, width] with biased variance and epsilon 1e-5: what is compared with codes.
at::Tensor NormaliseForCodes(const at::Tensor& x, const at::Tensor& norm_weight, const at::Tensor& norm_bias);

// The k codes that each row of `normalised` is most like, INT64 [rows, k], ascending; equal ones go to the lower code.
at::Tensor ChooseCodes(CodeSimilarity similarity, const at::Tensor& normalised, const at::Tensor& codes, int64_t k);

// What an intervention does to the choice of codes.
struct CodeChoice {
  // Codes that may not be used.
  std::vector<int64_t> disabled = {};
  // Whether the next best take their places; else they are chosen and contribute nothing.
  bool refill = true;
  // How many of the best codes are passed over.
  int64_t skipped_ranks = 0;
};

// Features are codes, 1 / k at the chosen ones. Const and thread-safe.
class Codebook final : public Dictionary {
 public:
  // Throws c10::ValueError naming what has a wrong shape, dtype or value; `where` begins the message.
  explicit Codebook(CodebookWeights weights, const std::string& where = "codebook");

  int64_t activation_dim() const override { return weights_.codes.size(1); }
  int64_t feature_count() const override { return weights_.codes.size(0); }
  std::string architecture() const override;
  at::Tensor Encode(const at::Tensor& x) const override { return Encode(x, {}); }
  // Throws c10::IndexError for a code that is not there, c10::ValueError when fewer than k codes are left to choose.
  at::Tensor Encode(const at::Tensor& x, const CodeChoice& choice) const;
  // The mean of the chosen codes, which is what the model goes on with; the layer norm is not undone.
  at::Tensor Decode(const at::Tensor& feature_activations, const at::Tensor& x) const override;
  at::Tensor DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                          const at::Tensor& x) const override;
  at::Tensor DecoderDirections() const override { return weights_.codes; }
  at::ScalarType dtype() const override { return weights_.codes.scalar_type(); }
  at::Device device() const override { return weights_.codes.device(); }

 private:
  void CheckRows(const char* name, const at::Tensor& rows, int64_t width) const;
  // INT64, on the device. Throws c10::IndexError for a code that is not there.
  at::Tensor Indices(const std::vector<int64_t>& codes) const;

  CodebookWeights weights_;
};

// Architecture "codebook" or "codebook_euclidean": weights of tensors "codes", "norm_weight" and "norm_bias", and k.
bool IsCodebook(const std::string& architecture);
// Throws as the constructor, for missing and unknown tensors too; `where` begins the message.
std::shared_ptr<const Codebook> MakeCodebook(const DictionaryWeights& weights, at::ScalarType dtype, at::Device device,
                                             const std::string& where);

}  // namespace lifescope
