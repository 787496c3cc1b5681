#include "server/dictionary/standard_sae.h"

#include <ATen/ATen.h>

namespace lifescope {

at::Tensor StandardSae::Activate(const at::Tensor& rows) const { return at::addmm(b_enc_, rows, w_enc()).relu_(); }

}  // namespace lifescope
