#include "server/dictionary/matmul.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {

Matmul ParseMatmul(const std::string& name) {
  if (name == "float32") return Matmul::kFull;
  TORCH_CHECK_VALUE(name == "bfloat16", "matmul is '", name, "', expected float32 or bfloat16");
  return Matmul::kBfloat16;
}

at::Tensor Operand(Matmul matmul, const at::Tensor& tensor) {
  if (matmul == Matmul::kFull) return tensor;
  const at::Tensor exact = tensor.detach();
  const at::Tensor rounded = exact.to(at::kBFloat16).to(exact.scalar_type());
  // The sum is the rounded number to the bit: the difference of two numbers so close is exact.
  return tensor.requires_grad() ? tensor + (rounded - exact) : rounded;
}

}  // namespace lifescope
