#include "server/dictionary/sparse_coding.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <utility>

namespace lifescope {
namespace {

// The shapes of an autoencoder come from its encoder: here that is the decoder's transpose, without a copy.
SaeWeights TiedWeights(const at::Tensor& directions, at::Tensor b_dec) {
  return {directions.t(), directions, std::move(b_dec)};
}

}  // namespace

SparseCodingDictionary::SparseCodingDictionary(const at::Tensor& directions, at::Tensor b_dec, double l1,
                                               int64_t iterations)
    : Sae(TiedWeights(directions, std::move(b_dec))),
      options_{l1, iterations},
      largest_eigenvalue_(LargestEigenvalue(directions)) {
  TORCH_CHECK_VALUE(largest_eigenvalue_ > 0, "all directions are zero");
}

at::Tensor SparseCodingDictionary::Activate(const at::Tensor& rows) const {
  return ShrinkageCodes(rows, DecoderDirections(), largest_eigenvalue_, options_);
}

GradientPursuitDictionary::GradientPursuitDictionary(const at::Tensor& directions, at::Tensor b_dec, int64_t k)
    : Sae(TiedWeights(directions, std::move(b_dec))), k_(k) {}

at::Tensor GradientPursuitDictionary::Activate(const at::Tensor& rows) const {
  return GradientPursuitCodes(rows, DecoderDirections(), k_);
}

}  // namespace lifescope
