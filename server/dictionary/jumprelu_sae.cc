#include "server/dictionary/jumprelu_sae.h"

#include <ATen/ATen.h>

namespace lifescope {

at::Tensor JumpReluSae::Activate(const at::Tensor& rows) const {
  const at::Tensor p = at::addmm(b_enc_, rows, w_enc());
  return p.relu().masked_fill(p <= threshold_, 0);
}

}  // namespace lifescope
