#include "server/dictionary/topk_sae.h"

#include <ATen/ATen.h>

#include "server/dictionary/top_k.h"

namespace lifescope {

at::Tensor TopKSae::Activate(const at::Tensor& rows) const {
  const at::Tensor pre = at::addmm(b_enc_, rows, w_enc());
  const at::Tensor chosen = TopKIndices(pre, k_);
  return at::zeros_like(pre).scatter(1, chosen, pre.gather(1, chosen).relu_());
}

}  // namespace lifescope
