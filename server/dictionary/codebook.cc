#include "server/dictionary/codebook.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <limits>
#include <set>
#include <utility>

#include "server/dictionary/top_k.h"

namespace lifescope {
namespace {

constexpr char kInnerProductName[] = "codebook";
constexpr char kEuclideanName[] = "codebook_euclidean";

// Ranks codes by their similarity: the order is that of the similarity, the values are not.
at::Tensor Scores(CodeSimilarity similarity, const at::Tensor& normalised, const at::Tensor& codes) {
  const at::Tensor products = at::mm(normalised, codes.t());
  if (similarity == CodeSimilarity::kInnerProduct) return products / codes.norm(2, 1);
  // -|h - c|^2 / 2 but for |h|, which all codes share.
  return products - codes.square().sum(1) / 2;
}

}  // namespace

at::Tensor NormaliseForCodes(const at::Tensor& x, const at::Tensor& norm_weight, const at::Tensor& norm_bias) {
  return at::layer_norm(x, {x.size(1)}, norm_weight, norm_bias, 1e-5);
}

at::Tensor ChooseCodes(CodeSimilarity similarity, const at::Tensor& normalised, const at::Tensor& codes, int64_t k) {
  return TopKIndices(Scores(similarity, normalised.detach(), codes.detach()), k);
}

Codebook::Codebook(CodebookWeights weights, const std::string& where) : weights_(std::move(weights)) {
  const at::Tensor& codes = weights_.codes;
  TORCH_CHECK_VALUE(codes.dim() == 2 && codes.numel() > 0, where, ": codes have shape ", codes.sizes(),
                    ", expected [codes, width]");
  TORCH_CHECK_VALUE(weights_.k > 0 && weights_.k <= codes.size(0), where, ": k is ", weights_.k, ", expected 1 to ",
                    codes.size(0));
  const auto check = [&](const char* name, const at::Tensor& tensor) {
    TORCH_CHECK_VALUE(tensor.scalar_type() == codes.scalar_type(), where, ": ", name, " is ", tensor.scalar_type(),
                      ", expected the type of codes, ", codes.scalar_type());
    TORCH_CHECK_VALUE(at::isfinite(tensor).all().item<bool>(), where, ": ", name,
                      " has a value that is NaN or infinite, expected finite values");
  };
  check("codes", codes);
  for (const auto& [name, tensor] :
       {std::pair{"norm_weight", weights_.norm_weight}, {"norm_bias", weights_.norm_bias}}) {
    TORCH_CHECK_VALUE(tensor.sizes() == codes.sizes().slice(1), where, ": ", name, " has shape ", tensor.sizes(),
                      ", expected ", codes.sizes().slice(1));
    check(name, tensor);
  }
}

std::string Codebook::architecture() const {
  return weights_.similarity == CodeSimilarity::kInnerProduct ? kInnerProductName : kEuclideanName;
}

void Codebook::CheckRows(const char* name, const at::Tensor& rows, int64_t width) const {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(1) == width, name, " has shape ", rows.sizes(), ", expected [rows, ",
                    width, "]");
  TORCH_CHECK_VALUE(rows.scalar_type() == dtype(), name, " is ", rows.scalar_type(),
                    ", expected the dictionary's dtype ", dtype());
}

at::Tensor Codebook::Indices(const std::vector<int64_t>& codes) const {
  for (const int64_t code : codes) {
    TORCH_CHECK_INDEX(code >= 0 && code < feature_count(), "code ", code, " is not in [0, ", feature_count(), ")");
  }
  return at::tensor(codes, at::kLong).to(device());
}

at::Tensor Codebook::Encode(const at::Tensor& x, const CodeChoice& choice) const {
  CheckRows("x", x, activation_dim());
  const at::Tensor disabled = Indices(choice.disabled);
  const std::set<int64_t> masked(choice.disabled.begin(), choice.disabled.end());
  const int64_t left = feature_count() - (choice.refill ? static_cast<int64_t>(masked.size()) : 0);
  TORCH_CHECK_VALUE(choice.skipped_ranks >= 0 && weights_.k + choice.skipped_ranks <= left, "there are ", left,
                    " codes to choose ", weights_.k, " from after the ", choice.skipped_ranks, " best");
  at::Tensor scores =
      Scores(weights_.similarity, NormaliseForCodes(x, weights_.norm_weight, weights_.norm_bias), weights_.codes);
  if (choice.refill) scores = scores.index_fill(1, disabled, -std::numeric_limits<double>::infinity());
  const at::Tensor acts = at::zeros_like(scores);
  acts.scatter_(1, TopKIndices(scores, weights_.k + choice.skipped_ranks), 1 / static_cast<double>(weights_.k));
  acts.scatter_(1, TopKIndices(scores, choice.skipped_ranks), 0);
  return acts.index_fill_(1, disabled, 0);
}

at::Tensor Codebook::Decode(const at::Tensor& feature_activations, const at::Tensor& x) const {
  CheckRows("feature_activations", feature_activations, feature_count());
  CheckRows("x", x, activation_dim());
  return at::mm(feature_activations, weights_.codes);
}

at::Tensor Codebook::DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                                  const at::Tensor& x) const {
  CheckRows("change", change, static_cast<int64_t>(features.size()));
  CheckRows("x", x, activation_dim());
  return at::mm(change, weights_.codes.index_select(0, Indices(features)));
}

bool IsCodebook(const std::string& architecture) {
  return architecture == kInnerProductName || architecture == kEuclideanName;
}

std::shared_ptr<const Codebook> MakeCodebook(const DictionaryWeights& weights, at::ScalarType dtype, at::Device device,
                                             const std::string& where) {
  TORCH_CHECK_VALUE(IsCodebook(weights.architecture), where, ": architecture is '", weights.architecture,
                    "', expected ", kInnerProductName, " or ", kEuclideanName);
  TORCH_CHECK_VALUE(!weights.apply_b_dec_to_input && weights.normalisation == Normalisation::kNone, where,
                    ": a codebook with apply_b_dec_to_input or normalised input, expected neither");
  const std::set<std::string> names{"codes", "norm_weight", "norm_bias"};
  for (const auto& [name, tensor] : weights.tensors) {
    TORCH_CHECK_VALUE(names.count(name) > 0, where, ": unknown tensor '", name, "' for architecture '",
                      weights.architecture, "'");
  }
  const auto get = [&](const char* name) {
    const auto found = weights.tensors.find(name);
    TORCH_CHECK_VALUE(found != weights.tensors.end() && found->second.defined(), where, ": tensor '", name,
                      "' is missing");
    return found->second.to(device, dtype).contiguous();
  };
  const CodeSimilarity similarity =
      weights.architecture == kEuclideanName ? CodeSimilarity::kEuclidean : CodeSimilarity::kInnerProduct;
  return std::make_shared<Codebook>(
      CodebookWeights{get("codes"), get("norm_weight"), get("norm_bias"), weights.k, similarity}, where);
}

}  // namespace lifescope
