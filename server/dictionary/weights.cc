#include "server/dictionary/weights.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <utility>

#include "server/dictionary/codebook.h"
#include "server/dictionary/gated_sae.h"
#include "server/dictionary/groupmax_sae.h"
#include "server/dictionary/jumprelu_sae.h"
#include "server/dictionary/sparse_coding.h"
#include "server/dictionary/standard_sae.h"
#include "server/dictionary/topk_sae.h"

namespace lifescope {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

// The tensors of shape [n] of each architecture.
const std::map<std::string, std::vector<const char*>> kFeatureTensors{{"standard", {"b_enc"}},
                                                                      {"gated", {"b_gate", "b_mag", "r_mag"}},
                                                                      {"jumprelu", {"b_enc", "threshold"}},
                                                                      {"topk", {"b_enc"}},
                                                                      {"groupmax", {"b_enc"}},
                                                                      {"sparse_coding", {}},
                                                                      {"gradient_pursuit", {}}};

const at::Tensor& Matrix(const DictionaryWeights& weights, const std::string& name, const std::string& where) {
  const auto found = weights.tensors.find(name);
  TORCH_CHECK_VALUE(found != weights.tensors.end() && found->second.defined(), where, ": tensor '", name,
                    "' is missing");
  TORCH_CHECK_VALUE(found->second.dim() == 2, where, ": tensor '", name, "' has shape ", found->second.sizes(),
                    ", expected a matrix");
  return found->second;
}

Shapes ExpectedShapes(const DictionaryWeights& weights, const std::string& where) {
  if (HasSearchingEncoder(weights.architecture)) {
    const at::Tensor& w_dec = Matrix(weights, "W_dec", where);
    TORCH_CHECK_VALUE(w_dec.numel() > 0, where, ": tensor 'W_dec' has shape ", w_dec.sizes(),
                      ", expected no dimension of 0");
    return {{"W_dec", w_dec.sizes().vec()}, {"b_dec", {w_dec.size(1)}}};
  }
  const at::Tensor& w_enc = Matrix(weights, "W_enc", where);
  const int64_t d_in = w_enc.size(0), n = w_enc.size(1), d_out = Matrix(weights, "W_dec", where).size(1);
  TORCH_CHECK_VALUE(d_in > 0 && n > 0 && d_out > 0, where, ": tensor 'W_enc' has shape ", w_enc.sizes(),
                    " and 'W_dec' has ", d_out, " columns, expected none that is 0");
  Shapes shapes{{"W_enc", {d_in, n}}, {"W_dec", {n, d_out}}, {"b_dec", {d_out}}};
  for (const char* name : kFeatureTensors.at(weights.architecture)) shapes[name] = {n};
  if (weights.tensors.count("W_skip") > 0) shapes["W_skip"] = {d_out, d_in};
  return shapes;
}

void CheckTensor(const DictionaryWeights& weights, const std::string& name, at::IntArrayRef shape,
                 const std::string& where) {
  const auto found = weights.tensors.find(name);
  TORCH_CHECK_VALUE(found != weights.tensors.end() && found->second.defined(), where, ": tensor '", name,
                    "' is missing, expected shape ", shape);
  const at::Tensor& tensor = found->second;
  TORCH_CHECK_VALUE(tensor.sizes() == shape, where, ": tensor '", name, "' has shape ", tensor.sizes(), ", expected ",
                    shape);
  TORCH_CHECK_VALUE(at::isFloatingType(tensor.scalar_type()), where, ": tensor '", name, "' is ", tensor.scalar_type(),
                    ", expected Half, BFloat16, Float or Double");
  TORCH_CHECK_VALUE(at::isfinite(tensor).all().item<bool>(), where, ": tensor '", name,
                    "' has a value that is NaN or infinite, expected finite values");
}

void CheckSearch(const DictionaryWeights& weights, const std::string& where) {
  TORCH_CHECK_VALUE(weights.apply_b_dec_to_input && weights.normalisation == Normalisation::kNone, where,
                    ": architecture '", weights.architecture,
                    "' subtracts b_dec and normalises nothing, expected apply_b_dec_to_input and no normalisation");
  if (weights.architecture != "sparse_coding") return;
  TORCH_CHECK_VALUE(std::isfinite(weights.l1) && weights.l1 >= 0, where, ": l1 is ", weights.l1,
                    ", expected 0 or more");
  // A file may not keep a server busy for ever.
  constexpr int64_t kMostIterations = 100'000;
  TORCH_CHECK_VALUE(weights.iterations > 0 && weights.iterations <= kMostIterations, where,
                    ": iterations: ", weights.iterations, ", expected 1 to ", kMostIterations);
}

}  // namespace

bool HasSearchingEncoder(const std::string& architecture) {
  return architecture == "sparse_coding" || architecture == "gradient_pursuit";
}

DictionaryWidths WidthsOf(const DictionaryWeights& weights) {
  const auto& tensors = weights.tensors;
  if (IsCodebook(weights.architecture)) {
    const at::Tensor& codes = tensors.at("codes");
    return {codes.size(1), codes.size(1), codes.size(0)};
  }
  const at::Tensor& w_dec = tensors.at("W_dec");
  const bool searches = HasSearchingEncoder(weights.architecture);
  return {searches ? w_dec.size(1) : tensors.at("W_enc").size(0), w_dec.size(1), w_dec.size(0)};
}

void CheckWeights(const DictionaryWeights& weights, const std::string& where) {
  if (IsCodebook(weights.architecture)) {
    MakeCodebook(weights, at::kDouble, at::kCPU, where);
    return;
  }
  TORCH_CHECK_VALUE(kFeatureTensors.count(weights.architecture) > 0, where, ": architecture '", weights.architecture,
                    "' is not supported; supported: codebook, codebook_euclidean, gated, gradient_pursuit, groupmax, "
                    "jumprelu, sparse_coding, standard, topk");
  const Shapes shapes = ExpectedShapes(weights, where);
  for (const auto& [name, shape] : shapes) CheckTensor(weights, name, shape, where);
  for (const auto& [name, tensor] : weights.tensors) {
    TORCH_CHECK_VALUE(shapes.count(name) > 0, where, ": unknown tensor '", name, "' for architecture '",
                      weights.architecture, "'");
  }
  const int64_t n = shapes.at("W_dec")[0], d_out = shapes.at("W_dec")[1];
  const bool is_grouped = weights.architecture == "groupmax";
  if (weights.architecture == "topk" || is_grouped || weights.architecture == "gradient_pursuit") {
    TORCH_CHECK_VALUE(weights.k > 0 && weights.k <= n, where, ": k is ", weights.k, ", expected 1 to ", n);
    TORCH_CHECK_VALUE(!is_grouped || n % weights.k == 0, where, ": k is ", weights.k, ", expected a divisor of ", n);
  }
  if (HasSearchingEncoder(weights.architecture)) return CheckSearch(weights, where);
  const int64_t d_in = shapes.at("W_enc")[0];
  TORCH_CHECK_VALUE(!weights.apply_b_dec_to_input || d_in == d_out, where, ": b_dec of width ", d_out,
                    " cannot be subtracted from inputs of width ", d_in);
  TORCH_CHECK_VALUE(weights.normalisation == Normalisation::kNone || (d_in == d_out && shapes.count("W_skip") == 0),
                    where, ": a transcoder with normalised input is not supported");
}

std::shared_ptr<const Dictionary> MakeDictionary(const DictionaryWeights& weights, at::ScalarType dtype,
                                                 at::Device device) {
  TORCH_CHECK_VALUE(dtype == at::kFloat || dtype == at::kDouble, "dictionary dtype is ", dtype,
                    ", expected Float or Double");
  if (IsCodebook(weights.architecture)) return MakeCodebook(weights, dtype, device, "weights");
  CheckWeights(weights);
  const auto get = [&](const char* name) {
    const at::Tensor tensor = weights.tensors.at(name).to(device, dtype).contiguous();
    TORCH_CHECK_VALUE(at::isfinite(tensor).all().item<bool>(), "tensor '", name, "' has a value that ", dtype,
                      " cannot hold");
    return tensor;
  };
  if (weights.architecture == "sparse_coding") {
    return std::make_shared<SparseCodingDictionary>(get("W_dec"), get("b_dec"), weights.l1, weights.iterations);
  }
  if (weights.architecture == "gradient_pursuit") {
    return std::make_shared<GradientPursuitDictionary>(get("W_dec"), get("b_dec"), weights.k);
  }
  SaeWeights shared{get("W_enc"), get("W_dec"), get("b_dec"), weights.apply_b_dec_to_input, weights.normalisation, {}};
  if (weights.tensors.count("W_skip") > 0) shared.w_skip = get("W_skip");
  const std::string& architecture = weights.architecture;
  if (architecture == "standard") return std::make_shared<StandardSae>(std::move(shared), get("b_enc"));
  if (architecture == "gated") {
    return std::make_shared<GatedSae>(std::move(shared), get("b_gate"), get("b_mag"), get("r_mag"));
  }
  if (architecture == "topk") return std::make_shared<TopKSae>(std::move(shared), get("b_enc"), weights.k);
  if (architecture == "groupmax") return std::make_shared<GroupMaxSae>(std::move(shared), get("b_enc"), weights.k);
  return std::make_shared<JumpReluSae>(std::move(shared), get("b_enc"), get("threshold"));
}

}  // namespace lifescope
