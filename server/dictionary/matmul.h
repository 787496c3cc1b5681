// The precision of the product of rows with an encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lifescope {

enum class Matmul {
  kFull,      // that of the tensors
  kBfloat16,  // operands are rounded to bfloat16 (to nearest, ties to even); products and sums are in float32
};

// "float32" or "bfloat16". Throws c10::ValueError naming both.
Matmul ParseMatmul(const std::string& name);

// `tensor` as an operand of such a product, in its own type: itself or rounded. Gradients pass as if it were itself.
at::Tensor Operand(Matmul matmul, const at::Tensor& tensor);

}  // namespace lifescope
