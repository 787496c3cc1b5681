#include "server/dictionary/groupmax_sae.h"

#include <ATen/ATen.h>

#include "server/dictionary/top_k.h"

namespace lifescope {

at::Tensor GroupMaxSae::Activate(const at::Tensor& rows) const {
  const at::Tensor groups = at::addmm(b_enc_, rows, w_enc()).relu_().view({-1, feature_count() / k_});
  const at::Tensor largest = TopKIndices(groups, 1);
  return at::zeros_like(groups).scatter(1, largest, groups.gather(1, largest)).view({rows.size(0), feature_count()});
}

}  // namespace lifescope
